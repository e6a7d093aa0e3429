"""`python -m tests.faults [ROW…] [--trials N] [--ci] [--seed N] [--jobs N] [--json] [--figures FILE [--continue | --show]]`

Makes the faults of the table happen (without ROW: all of them, one after the other, at their full counts) and says for each how
many trials there were, what was lost, what was there twice, what else was wrong, and how long it took. A fault that cannot be
made on this machine is named "not tested" with the reason, and is counted nowhere. `--figures` adds a line of JSON to a file
after each batch; `--continue` counts what is there already, `--show` only prints it. Exit status 1 if anything was wrong.
`--list` names the rows.
`--jobs`: so many trials, or batches of them, at the same time; for rows that look at how quick the daemon is, leave it at 1.
The same seed makes the same choices, but not at the same moments.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path
from typing import NamedTuple

from tests.faults import batches
from tests.faults.rows import Outcome, Row, every

SHOWN = 20
"""Lines about what is wrong that are printed for each row."""


class Line(NamedTuple):
    """A row of the table that is printed. Without an outcome: why it was not tested."""

    row: Row
    outcome: Outcome | None
    why_not: str = ""

    @property
    def fine(self) -> bool:
        return self.outcome is None or self.row.fine(self.outcome)


def main(arguments: list[str] | None = None) -> int:
    options = _options(arguments)
    if options.list:
        print("\n".join(f"{row.name:<16} {row.trials or 'every':>6}  {row.fault}" for row in every()))
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that nothing of ours is left running
    chosen = [row for row in every() if not options.rows or row.name in options.rows]
    lines = []
    if options.show:
        found = {row: _before(options.figures, row) for row in chosen}
        print(table([Line(row, sum(before, Outcome(0))) for row, before in found.items() if before]))
        return 0
    for row in chosen:
        lines.append(campaign(row, options))
        for text in lines[-1].outcome.wrong[:SHOWN] if lines[-1].outcome is not None else ():
            print(f"{row.name}: {text}", file=sys.stderr, flush=True)
    print(as_json(lines) if options.json else table(lines))
    return 0 if all(line.fine for line in lines) else 1


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__.splitlines()[2])
    parser.add_argument("rows", nargs="*", metavar="ROW", help="one of --list; without: all")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--trials", type=int, help="instead of the count of the full campaign")
    parser.add_argument("--ci", action="store_true", help="the counts of a test run")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--figures", type=Path)
    parser.add_argument("--continue", dest="goes_on", action="store_true")
    parser.add_argument("--show", action="store_true")
    options = parser.parse_args(arguments)
    unknown = set(options.rows) - {row.name for row in every()}
    if unknown:
        parser.error(f"no row {', '.join(sorted(unknown))}; `--list` names them")
    if (options.goes_on or options.show) and options.figures is None:
        parser.error(f"`--{'show' if options.show else 'continue'}` needs `--figures`")
    return options


def campaign(row: Row, options: argparse.Namespace) -> Line:
    """All trials of a row, batch by batch."""
    wanted = row.ci if options.ci else row.trials if options.trials is None else options.trials
    before = _before(options.figures, row) if options.goes_on else []
    whole = sum(before, Outcome(0))
    seed = options.seed + len(before)
    print(f"{row.name}: {wanted - whole.trials if wanted else 'every'} trials, seed {seed}", file=sys.stderr, flush=True)
    while not before or whole.trials < wanted:
        plan = batches.plan(row, wanted - whole.trials, seed)
        began = whole.trials
        for batch, part in batches.run(plan, options.jobs):
            if isinstance(part, str):
                return Line(row, None, part)
            _note(options.figures, batch, part)
            before.append(part)
            whole += part
        seed += len(plan)
        if not row.batch or whole.trials == began:
            break
    return Line(row, whole)


def _note(figures: Path | None, batch: batches.Batch, part: Outcome) -> None:
    line = json.dumps({"fault": batch.row, "seed": batch.seed, **part._asdict()})
    if figures is not None:
        with open(figures, "a", encoding="utf-8") as file:
            file.write(line + "\n")
    print(line[:400], file=sys.stderr, flush=True)


def _before(figures: Path, row: Row) -> list[Outcome]:
    if not figures.exists():
        return []
    lines = [json.loads(line) for line in figures.read_text(encoding="utf-8").splitlines()]
    mine = [{key: line[key] for key in Outcome._fields} for line in lines if line["fault"] == row.name]
    return [Outcome(**{**one, "wrong": tuple(one["wrong"]), "notes": tuple(one["notes"])}) for one in mine]


def table(lines: list[Line]) -> str:
    """The figures as a table of Markdown, as they stand in docs/faults.md; below it what was not tested, and the notes."""
    text = ["| fault | trials | lost | twice | wrong | seconds |", "| --- | ---: | ---: | ---: | ---: | ---: |"]
    for row, out, _ in lines:
        if out is not None:
            lost, twice = ("–" if name in row.uncounted else f"{getattr(out, name):,}" for name in ("lost", "twice"))
            text.append(f"| {row.fault} | {out.trials:,} | {lost} | {twice} | {len(out.wrong)} | {out.seconds:,.0f} |")
    text += [f"\nnot tested: {row.fault}: {why}" for row, out, why in lines if out is None]
    text += [f"\n{row.name}: {note}" for row, out, _ in lines if out is not None for note in out.notes]
    text += [f"\n{row.name}: {row.may_lose}" for row, out, _ in lines if out is not None and out.lost and row.may_lose]
    return "\n".join(text)


def as_json(lines: list[Line]) -> str:
    """The same for a program. Keys that do not apply are null."""
    rows = []
    for row, out, why in lines:
        told = dict.fromkeys(Outcome._fields) if out is None else out._asdict() | dict.fromkeys(row.uncounted)
        rows.append({"name": row.name, "fault": row.fault, "tested": out is not None, "why_not": why or None, **told})
    return json.dumps({"schema": 1, "fine": all(line.fine for line in lines), "rows": rows}, indent=1)


if __name__ == "__main__":
    sys.exit(main())
