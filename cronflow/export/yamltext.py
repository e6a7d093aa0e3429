"""YAML source text: maps, lists, numbers, strings. Strings of several lines are blocks, others that are not plain are JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_PLAIN = re.compile(r"[A-Za-z_/][\w./+-]*(?: [\w./+&()'-]+)*", re.ASCII)
_WORDS = frozenset(("true", "false", "yes", "no", "on", "off", "null", "y", "n"))
_ODD = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff]")


def document(value: dict[str, Any]) -> str:
    """A map as a YAML document."""
    return "\n".join(_map(value, "")) + "\n"


def _map(value: dict[str, Any], indent: str) -> Iterator[str]:
    for key, one in value.items():
        if isinstance(one, dict) and one:
            yield f"{indent}{_scalar(key)}:"
            yield from _map(one, indent + "  ")
        elif isinstance(one, list) and one:
            yield f"{indent}{_scalar(key)}:"
            yield from _list(one, indent + "  ")
        elif _block(one):
            yield f"{indent}{_scalar(key)}: {'|' if one.endswith(chr(10)) else '|-'}"
            yield from (f"{indent}  {line}".rstrip() for line in one.removesuffix("\n").split("\n"))
        else:
            yield f"{indent}{_scalar(key)}: {_scalar(one)}"


def _list(values: list[Any], indent: str) -> Iterator[str]:
    for one in values:
        if isinstance(one, dict):
            lines = list(_map(one, indent + "  "))
            yield f"{indent}- {lines[0].lstrip()}"
            yield from lines[1:]
        else:
            yield f"{indent}- {_scalar(one)}"


def _block(value: Any) -> bool:
    """Whether a string can be a block: it has several lines, and no blanks that a block would lose."""
    if not isinstance(value, str) or "\n" not in value or _ODD.search(value):
        return False
    lines = value.removesuffix("\n").split("\n")
    return (
        bool(lines[0].strip()) and lines[0][0] not in " \t" and bool(lines[-1]) and all(line == line.rstrip() for line in lines)
    )


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
            return value
        return json.dumps(value, ensure_ascii=_ODD.search(value) is not None)
    return json.dumps(value)
