"""Every row of the table of faults, at the counts of a test run. The full campaign is `python -m tests.faults`."""

from __future__ import annotations

import os
import time

import pytest

from tests.faults.rows import NotTestedError, Row, every

TRIALS = os.environ.get("CRONFLOW_TRIALS")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("row", every(), ids=lambda row: row.name)
def test_what_is_promised_holds(row: Row) -> None:
    seed = int(time.time())
    try:
        outcome = row.run(int(TRIALS or row.ci), seed)
    except NotTestedError as why:
        pytest.skip(f"not tested: {why}")
    print(outcome)
    assert outcome.trials > 0
    assert row.fine(outcome), f"seed {seed}\n" + "\n".join(outcome.wrong)
