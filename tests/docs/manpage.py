"""The section KEYS and the kinds of runs of cronflow-jobs(5): made from the tables that the program goes by."""

from __future__ import annotations

import re

from cronflow.core.records import RUN_KINDS, RunKind
from cronflow.jobfile import keys
from cronflow.jobfile.keys import Key, Keys


def section() -> str:
    """The section as mdoc(7), from `.Sh KEYS` on, with a final newline."""
    parts = [
        ".Sh KEYS",
        *_part("Top level", "Before the first header of the file.", keys.TOP),
        *_part("[jobs.NAME] and [defaults]", "A job overrides what is set in [defaults].", keys.JOB),
        *_part("[settings]", keys.TABLES["settings"], keys.SETTINGS),
        *_part("[alerts.NAME]", keys.TABLES["alerts"].partition(": ")[2], keys.ALERT),
        ".Ss [pools]",
        _flow(keys.TABLES["pools"]),
        *_part("[calendars.NAME]", keys.TABLES["calendars"].partition(": ")[2], keys.CALENDAR),
        ".Ss Not supported yet",
        "These keys are refused with a message that says so:",
        _flow(", ".join(sorted([*keys.LATER["jobs"], *keys.LATER["settings"]])) + "."),
    ]
    return "\n".join(parts) + "\n"


RUN_COLUMNS = {
    "owns_slot": "slot",
    "tells_round": "round",
    "stands_for_slot": "done",
    "by_person": "person",
    "is_end": "end",
    "paced": "paced",
}
"""What a kind of run is → the heading of its column."""


def run_kinds() -> str:
    """The table of the kinds of runs as mdoc(7)."""
    widths = " ".join(f'"{word}"' for word in ("schedule", *RUN_COLUMNS.values()))
    heads = " Ta ".join(f"Sy {word}" for word in ("trigger", *RUN_COLUMNS.values()))
    rows = [f".It {name} Ta " + " Ta ".join(_marks(kind)) for name, kind in RUN_KINDS.items()]
    lines = [f".Bl -column -offset indent {widths}", f".It {heads}", *rows]
    return "\n".join([*lines, ".El"]) + "\n"


def _marks(kind: RunKind) -> list[str]:
    return ["yes" if getattr(kind, field) else "\\-" for field in RUN_COLUMNS]


def _part(title: str, words: str, table: Keys) -> list[str]:
    lines = [f".Ss {title}", _flow(words[:1].upper() + words[1:]), ".Bl -tag -width Ds"]
    for name, key in table.items():
        lines += _item(name, key)
    return [*lines, ".El"]


def _item(name: str, key: Key) -> list[str]:
    facts = key.kind.name + (f"; default: {key.default}" if key.default else "")
    lines = [f".It Sy {_plain(name)} Pq {_quoted(facts)}", _flow(key.meaning)]
    if key.by_roots:
        lines.append("It acts on a flow through its roots.")
    return lines


def _flow(text: str) -> str:
    """Running text: one line for each sentence, and none that begins a macro (mandoc's advice)."""
    sentences = re.split(r"(?<=[.]) (?=[A-Z])", text)
    return "\n".join(("\\&" if line[0] in ".'" else "") + _plain(line) for line in sentences)


def _plain(text: str) -> str:
    """Text without escapes, in which quotes and hyphens stay the same when pasted."""
    return text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace('"', "\\(dq").replace("…", "...")


def _quoted(text: str) -> str:
    """One argument of a macro."""
    return '"' + _plain(text) + '"'


if __name__ == "__main__":
    print(section() + run_kinds(), end="")
