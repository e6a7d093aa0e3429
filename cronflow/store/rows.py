"""Between the live objects and the rows of the tables: each noun's columns, both ways."""

from __future__ import annotations

import dataclasses
import json
import operator
from collections.abc import Callable, Iterable
from typing import Any

from cronflow.core.records import Attempt, Cursor, Health, Link, Pause, Run, Skip, Task, Trouble
from cronflow.core.words import storable

_JSON_DEFAULT: dict[type, str] = {list: "[]", tuple: "[]", dict: "{}"}
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


class Table:
    """The statement that saves one kind of row, and the two conversions."""

    def __init__(
        self,
        name: str,
        kind: type,
        leave_out: tuple[str, ...] = (),
        lists: tuple[str, ...] = (),
        flags: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.kind = kind
        names = getattr(kind, "_fields", None) or [spec.name for spec in dataclasses.fields(kind)]
        self.columns = [name for name in names if name not in leave_out]
        self.lists = frozenset(lists)
        self._get: Callable[[Any], tuple[Any, ...]] = operator.attrgetter(*self.columns)
        self._list_at = [at for at, column in enumerate(self.columns) if column in self.lists]
        self.flags = frozenset(flags)
        marks = ", ".join("?" * len(self.columns))
        quoted = ", ".join(f'"{column}"' for column in self.columns)  # some are words of SQL
        self.insert = f"INSERT OR REPLACE INTO {name} ({quoted}) VALUES ({marks})"
        self.select = f"SELECT {quoted} FROM {name}"

    def values(self, thing: Any) -> tuple[Any, ...]:
        """The row of an object; lists and tables as JSON text. A name of a file that is no UTF-8 may stand in a message."""
        values = list(self._get(thing))
        for at in self._list_at:
            values[at] = dump(values[at])
        return tuple([storable(value) if type(value) is str else value for value in values])

    def object(self, row: Iterable[Any]) -> Any:
        """The object of a row that `select` gave."""
        values: dict[str, Any] = dict(zip(self.columns, row, strict=True))
        for column in self.lists:
            values[column] = _load(values[column])
        for column in self.flags:
            values[column] = bool(values[column])
        return self.kind(**values)


def dump(value: Any) -> str:
    return _JSON_DEFAULT[type(value)] if not value else _ENCODER.encode(value)


def _load(text: str) -> Any:
    value = json.loads(text)
    return tuple(value) if isinstance(value, list) else value


RUNS = Table("runs", Run, leave_out=("tasks",), lists=("roots", "named", "params", "upstreams"), flags=("held", "aside", "only"))
TASKS = Table("tasks", Task, leave_out=("live",), lists=("verdict", "told", "matrix", "outputs"))
ATTEMPTS = Table("attempts", Attempt, lists=("left_behind",))
CURSORS = Table("cursors", Cursor, flags=("lining",))
LINKS = Table("links", Link, flags=("new", "look", "failed"))
PAUSES = Table("pauses", Pause)
SKIPS = Table("skips", Skip)
HEALTH = Table("health", Health, lists=("durations",))
TROUBLES = Table("troubles", Trouble, flags=("told",))
