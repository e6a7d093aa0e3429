"""Python source code: literals as a person would write them, and calls with one argument per line."""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Iterable, Mapping

from cronflow.core.words import untaken

WIDTH = 110


def literal(text: str) -> str:
    """A string literal, in the quotes that need fewer escapes: JSON's escapes are also Python's."""
    quoted = json.dumps(text, ensure_ascii=False)
    return "'" + quoted[1:-1].replace('\\"', '"') + "'" if '"' in text and "'" not in text else quoted


def lines_of(text: str, indent: str) -> str:
    """A string literal, with one piece for each line of the string."""
    pieces = text.splitlines(keepends=True)
    if len(pieces) < 2:
        return literal(text)
    body = "".join(f"{indent}    {literal(piece)}\n" for piece in pieces)
    return f"(\n{body}{indent})"


def mapping(values: Mapping[str, str], indent: str) -> str:
    """A dict of strings."""
    pairs = [f"{literal(name)}: {literal(value)}" for name, value in values.items()]
    flat = "{" + ", ".join(pairs) + "}"
    if len(flat) + len(indent) < WIDTH:
        return flat
    return "{\n" + "".join(f"{indent}    {pair},\n" for pair in pairs) + indent + "}"


def call(name: str, arguments: Iterable[tuple[str, str]], indent: str) -> str:
    """A call; its arguments are (keyword, expression), with no keyword for positional ones; an empty one is left out."""
    lines = "".join(f"{indent}    {f'{key}=' if key else ''}{value},\n" for key, value in arguments if value)
    return f"{name}(\n{lines}{indent})"


def period(seconds: float) -> str:
    """A duration as a timedelta."""
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= size and seconds % size == 0:
            return f"timedelta({unit}={int(seconds // size)})"
    return f"timedelta(seconds={seconds:g})"


def identifiers(names: Iterable[str]) -> dict[str, str]:
    """Name → a unique variable name for it."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        plain = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "job"
        plain = f"job_{plain}" if plain[0].isdigit() or keyword.iskeyword(plain) or plain in RESERVED else plain
        found[name] = untaken(plain, taken, "_")
    return found


RESERVED = frozenset(
    (
        *("BashOperator", "DAG", "Asset", "EmptyOperator", "BashSensor", "ApprovalOperator"),
        *("datetime", "timedelta", "ZoneInfo", "hook"),
    )
)
"""Names that the exported file itself uses."""


def ids(names: Iterable[str]) -> dict[str, str]:
    """Name → a unique id of letters, digits, `.`, `_` and `-`, as Airflow takes for a dag_id or task_id."""
    taken: set[str] = set()
    return {name: untaken(re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-"), taken) for name in names}
