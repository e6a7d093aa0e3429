"""`python -m tests.campaign kill --trials 3000 --who daemon [--seed N] [--batch 250] [--figures FILE] [--continue] [--keep DIR]`

Kills the daemon (`daemon`), a process of its keeper (`holder`, `guard`), one of an older keeper (`older`), one of these three
in turn (`keeper`), any of all four (`all`), or both processes of a keeper (`both`), and says what became of every command. Each
batch adds a line of JSON to the file of `--figures` or CRONFLOW_FIGURES; `--continue` counts what is there already.
CRONFLOW_TRIALS is the default of `--trials`. Exit status 1 if a command was lost, ran twice, or is told wrongly; then the state
folder is kept under `--keep`. The same seed gives the same trials, but not the same moments.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from tests.campaign.trials import KINDS, MIXES, Batch, Figures
from tests.daemon.live import Live


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__.splitlines()[0])
    parser.add_argument("verb", choices=["kill"])
    parser.add_argument("--trials", type=int, default=int(os.environ.get("CRONFLOW_TRIALS", "100")))
    parser.add_argument("--who", choices=[*KINDS, *MIXES], default="daemon")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--batch", type=int, default=250)
    parser.add_argument("--figures", type=Path, default=os.environ.get("CRONFLOW_FIGURES"))
    parser.add_argument("--continue", dest="goes_on", action="store_true")
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that nothing of ours is left running
    before = _before(options.figures, options.who) if options.goes_on else []
    done, seed, bad = sum(one.trials for one in before), options.seed + len(before), 0
    print(f"{options.trials - done} trials of `{options.who}`, seed {options.seed}", flush=True)
    while done < options.trials:
        figures = batch(options.who, seed, min(options.batch, options.trials - done), options.keep)
        if options.figures is not None:
            with open(options.figures, "a", encoding="utf-8") as file:
                file.write(json.dumps(figures.as_dict()) + "\n")
        print(json.dumps(figures.as_dict()), flush=True)
        before.append(figures)
        bad += not figures.fine
        done, seed = done + figures.trials, seed + 1
    print(json.dumps(total(options.who, options.seed, before).as_dict()), flush=True)
    return 1 if bad else 0


def batch(who: str, seed: int, trials: int, keep: Path) -> Figures:
    """One batch in a folder of its own, which is kept under `keep` if there is something wrong."""
    folder = Path(tempfile.mkdtemp(prefix=f"campaign-{who}-{seed}-", dir=keep))
    live = Live(folder)
    fine = False
    try:
        one = Batch(live, who, seed)
        figures = one.run(trials)
        fine = figures.fine
        if one.account.faults:
            print(one.account.text(), file=sys.stderr, flush=True)
        if not fine:
            (folder / "killed").write_text("\n".join(one.killed))
            print(f"kept: {folder}", file=sys.stderr, flush=True)
        return figures
    finally:
        live.close()
        if fine:
            shutil.rmtree(folder, ignore_errors=True)


def total(who: str, seed: int, parts: list[Figures]) -> Figures:
    """The sum of all batches."""
    whole = Figures(who, seed)
    for part in parts:
        for name, value in part.as_dict().items():
            if name not in ("who", "seed"):
                setattr(whole, name, round(getattr(whole, name) + value, 1))
    return whole


def _before(path: Path | None, who: str) -> list[Figures]:
    if path is None or not Path(path).exists():
        return []
    lines = (json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines())
    return [Figures(**line) for line in lines if line["who"] == who]


if __name__ == "__main__":
    sys.exit(main())
