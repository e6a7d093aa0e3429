"""Runs, rows of slots that did not run, and acts of people, newest first: one line each."""

from __future__ import annotations

from cronflow.cli.screens.run import short_line
from cronflow.cli.screens.style import GAP, Style, table
from cronflow.core import words
from cronflow.store.queries import ActRecord, RunRecord


def history_screen(records: list[RunRecord], acts: list[ActRecord], style: Style, job: str | None = None) -> str:
    """The history as lines. An act stands above the run that it opened."""
    rows = [short_line(record, style, job) for record in records]
    if job is not None and all(record.run.flow == job for record in records):
        for row in rows:
            row[4] = ""
    lines = [style.clip(line) for line in table(rows, right=(0,))]
    timed = [(record.run.created_at, 0, line) for record, line in zip(records, lines, strict=True)]
    timed += [(one.act.at, 1, style.clip(act_line(one, style))) for one in _told_once(acts)]
    timed.sort(key=lambda entry: (-entry[0], -entry[1]))
    return "\n".join(line for _, _, line in timed)


def _told_once(acts: list[ActRecord]) -> list[ActRecord]:
    """A command that acted on several jobs has a row for each of them, and is told once."""
    return list({(one.act.at, one.act.by, one.act.words or id(one), one.act.run): one for one in acts}.values())


def act_line(one: ActRecord, style: Style) -> str:
    """What a person did: "  anna 14:40   cronflow run backup"."""
    act = one.act
    text = f"{style.clock.when(act.at)}{GAP}{words.plain(act.by)}: {words.plain(act.words or act.verb)}"
    if act.run is not None:
        text += f" (run {act.run})"
    return style.paint("dim", f"     · {text}")
