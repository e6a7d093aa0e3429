"""Kill trials in the numbers of a test run. CRONFLOW_TRIALS is another number for each; a long run is
`python -m tests.campaign kill --trials 3000 --who daemon`."""

from __future__ import annotations

import json
import os
import time

import pytest

from tests.campaign.trials import Batch
from tests.daemon.live import living

TRIALS = os.environ.get("CRONFLOW_TRIALS")
FIGURES = os.environ.get("CRONFLOW_FIGURES")


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("who", "trials"), [("daemon", 100), ("keeper", 100), ("both", 20)])
def test_no_command_is_lost_or_runs_twice(who: str, trials: int) -> None:
    seed = int(time.time())
    with living() as live:
        batch = Batch(live, who, seed)
        figures = batch.run(int(TRIALS or trials))
    if FIGURES is not None:
        with open(FIGURES, "a", encoding="utf-8") as file:
            file.write(json.dumps(figures.as_dict()) + "\n")
    print(figures)
    assert figures.trials == int(TRIALS or trials)
    assert figures.commands > figures.trials
    assert figures.fine, f"{figures}\n{batch.account.text()}"
