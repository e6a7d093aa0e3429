"""Every row of the table of faults, at the counts of a test run, which are the same trials each time. The full campaign is
`python -m tests.faults`, and `--seed` makes it another one."""

from __future__ import annotations

import os

import pytest

from tests.faults.rows import NotTestedError, Row, every

TRIALS = os.environ.get("CRONFLOW_TRIALS")
SEED = 1


@pytest.mark.timeout(600)
@pytest.mark.parametrize("row", every(), ids=lambda row: row.name)
def test_what_is_promised_holds(row: Row) -> None:
    try:
        outcome = row.run(int(TRIALS or row.ci), SEED)
    except NotTestedError as why:
        pytest.skip(f"not tested: {why}")
    print(outcome)
    assert outcome.trials > 0
    assert row.fine(outcome), "\n".join(outcome.wrong)
