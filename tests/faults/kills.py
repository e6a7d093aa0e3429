"""SIGKILL at random moments, while some twenty commands are going on: the trials of `tests.campaign`."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.campaign.trials import Batch
from tests.daemon.live import Live
from tests.faults.rows import Outcome, Row

BOTH_LIVES = (
    "a status is lost only where guard and holder of one keeper were both killed while its command ran: it is told as `lost`, "
    "and the retry policy deals with it"
)


def kills(who: str) -> Callable[[int, int], Outcome]:
    """Trials in one state folder, which is kept if there is something wrong."""

    def run(trials: int, seed: int) -> Outcome:
        folder = Path(tempfile.mkdtemp(prefix=f"faults-{who}-{seed}-"))
        live = Live(folder)
        wrong: tuple[str, ...] = ("the batch did not come to its end",)
        try:
            batch = Batch(live, who, seed)
            figures = batch.run(trials)
            ours = () if figures.fine else tuple(batch.account.text().splitlines())
            wrong = (*ours, f"kept: {folder}") if ours else ()
            (folder / "killed").write_text("\n".join(batch.killed))
            return Outcome(figures.trials, figures.lost, figures.twice, wrong)
        finally:
            live.close()
            if not wrong:
                shutil.rmtree(folder, ignore_errors=True)

    return run


ROWS = (
    Row("kill-daemon", "SIGKILL of the daemon", 3000, 100, kills("daemon"), batch=250),
    Row("kill-keeper", "SIGKILL of a holder, a guard, a process of an older keeper", 3000, 100, kills("keeper"), batch=250),
    Row("kill-both", "SIGKILL of holder and guard at once, of the daemon too", 500, 20, kills("both"), 100, BOTH_LIVES),
)
