"""Python as text: literals that a person would write, and calls with an argument a line."""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Iterable, Mapping

WIDTH = 110


def literal(text: str) -> str:
    """A string as a literal, in the quotes that need fewer escapes: those of JSON are Python's too."""
    quoted = json.dumps(text, ensure_ascii=False)
    return "'" + quoted[1:-1].replace('\\"', '"') + "'" if '"' in text and "'" not in text else quoted


def lines_of(text: str, indent: str) -> str:
    """A string as a literal, one of several lines with a piece for each of them."""
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
    """A call whose arguments are `keyword`, expression; without a keyword where that is empty."""
    lines = "".join(f"{indent}    {f'{key}=' if key else ''}{value},\n" for key, value in arguments)
    return f"{name}(\n{lines}{indent})"


def period(seconds: float) -> str:
    """A duration as a timedelta."""
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= size and seconds % size == 0:
            return f"timedelta({unit}={int(seconds // size)})"
    return f"timedelta(seconds={seconds:g})"


def identifiers(names: Iterable[str]) -> dict[str, str]:
    """Name → a variable for it, each another one."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        plain = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "job"
        plain = f"job_{plain}" if plain[0].isdigit() or keyword.iskeyword(plain) or plain in RESERVED else plain
        found[name] = free(plain, taken, "_")
    return found


RESERVED = frozenset(
    (
        "BashOperator",
        "DAG",
        "Asset",
        "EmptyOperator",
        "BashSensor",
        "ApprovalOperator",
        "datetime",
        "timedelta",
        "ZoneInfo",
        "hook",
    )
)
"""Names that the file itself uses."""


def ids(names: Iterable[str]) -> dict[str, str]:
    """Name → what Airflow takes as a dag_id or task_id: letters, digits, `.`, `_` and `-`."""
    taken: set[str] = set()
    return {name: free(re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-"), taken, "-") for name in names}


def free(plain: str, taken: set[str], sign: str) -> str:
    """A name that is not taken yet, with a number if need be; it is taken from now on."""
    name, number = plain, 2
    while name in taken:
        name, number = f"{plain}{sign}{number}", number + 1
    taken.add(name)
    return name
