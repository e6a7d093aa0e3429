"""Between the rows of `core.tables` and SQLite: the statements of each table, and the conversions both ways."""

from __future__ import annotations

import json
import operator
import os
from collections.abc import Iterable, Mapping
from sqlite3 import Connection
from typing import Any

from cronflow.core import tables
from cronflow.core.records import FINAL, Attempt, Task
from cronflow.core.tables import Patch, Table
from cronflow.core.words import storable
from cronflow.store.phases import PhaseColumns, columns_of, phase_of

_EMPTY: dict[type, str] = {list: "[]", tuple: "[]", dict: "{}"}
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_TASK_FIELDS = tuple(name for name in tables.TASKS.columns if name not in PhaseColumns._fields)
_task_fields = operator.attrgetter(*_TASK_FIELDS)
_TASK_ORDER = tuple(map((*PhaseColumns._fields, *_TASK_FIELDS).index, tables.TASKS.columns))
_INSERT = {"replace": "INSERT OR REPLACE", "ignore": "INSERT OR IGNORE", "error": "INSERT"}


class Mapper:
    """How the rows of one table are written and read."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self._json_at = [at for at, column in enumerate(table.columns) if column in table.json]
        self._path_at = [at for at, column in enumerate(table.columns) if column in table.paths]
        marks = ", ".join("?" * len(table.columns))
        columns = ", ".join(map(_quoted, table.columns))
        self.insert = f"{_INSERT[table.existing]} INTO {table.name} ({columns}) VALUES ({marks})"
        self.select = f"SELECT {columns} FROM {table.name}"
        self.delete = f"DELETE FROM {table.name} WHERE {_each(table.key, ' AND ')}"

    def values(self, row: Any) -> tuple[Any, ...]:
        """A row for `insert`; lists and tables as JSON text. A name of a file that is not UTF-8 may stand in a message."""
        values = self.fields(row)
        for at in self._json_at:
            values[at] = dump(values[at])
        for at in self._path_at:
            values[at] = path_value(values[at])
        return tuple([storable(value) if type(value) is str else value for value in values])

    def fields(self, row: Any) -> list[Any]:
        """What a row says, in the order of the columns."""
        return list(self.table.get(row))

    def key_values(self, key: Any) -> tuple[Any, ...]:
        """A key for `delete`."""
        key = key if isinstance(key, tuple) else (key,)
        columns = zip(self.table.key, key, strict=True)
        return tuple(path_value(one) if column in self.table.paths else one for column, one in columns)

    def object(self, row: Iterable[Any]) -> Any:
        """The object of a row that `select` gave."""
        values: dict[str, Any] = dict(zip(self.table.columns, row, strict=True))
        for column in self.table.json:
            values[column] = _load(values[column])
        for column in self.table.flags:
            values[column] = bool(values[column])
        return self.table.kind(**values)


class TaskMapper(Mapper):
    """The rows of tasks, whose phase has columns of its own; a process that has not ended is a row of `attempts`."""

    def fields(self, row: Any) -> list[Any]:
        found = (*columns_of(row), *_task_fields(row))
        return [found[at] for at in _TASK_ORDER]

    def task(self, row: Iterable[Any], live: Attempt | None) -> Task:
        """The task of a row that `select` gave. A ValueError where its columns tell of no phase."""
        plain = dict(zip(self.table.columns, row, strict=True))
        for column in self.table.json:
            plain[column] = _load(plain[column])
        columns = PhaseColumns(**{name: plain.pop(name) for name in PhaseColumns._fields})
        return Task(phase=phase_of(columns, plain["finished_at"], live), **plain)


def tasks_of(db: Connection, where: str, values: tuple[Any, ...]) -> list[Task]:
    """Tasks with the processes that they have. A ValueError where a row makes no sense."""
    rows = db.execute(f"{TASKS.select} WHERE {where}", values).fetchall()
    going_on = json.dumps(sorted({row[0] for row in rows if row[3] not in FINAL}))
    query = f"{ATTEMPTS.select} WHERE state != 'ended' AND run IN (SELECT value FROM json_each(?))"
    live = {(one.run, one.task): one for one in map(ATTEMPTS.object, db.execute(query, (going_on,)))} if len(going_on) > 2 else {}
    return [TASKS.task(row, live.get((row[0], row[1]))) for row in rows]


def patch(one: Patch) -> tuple[str, tuple[Any, ...]]:
    """The statement that carries out a patch, and its values."""
    statement = f"UPDATE {one.table.name} SET {_each(one.values, ', ')} WHERE {_each(one.where, ' AND ')}"
    return statement, (*(dump(value) if isinstance(value, dict) else value for value in one.values.values()), *one.where.values())


def _quoted(column: str) -> str:
    return f'"{column}"'  # some are words of SQL


def _each(columns: Iterable[str], between: str) -> str:
    return between.join(f"{_quoted(column)} = ?" for column in columns)


def path_value(path: str) -> str | bytes:
    """A path for the database, as bytes where it is not UTF-8, so that it is given back as it is."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return os.fsencode(path)
    return path


def dump(value: Any) -> str:
    return _EMPTY.get(type(value), "{}") if not value else _ENCODER.encode(dict(value) if isinstance(value, Mapping) else value)


def _load(text: str) -> Any:
    value = json.loads(text)
    return tuple(value) if isinstance(value, list) else value


TASKS = TaskMapper(tables.TASKS)
MAPPERS = {table: TASKS if table is tables.TASKS else Mapper(table) for table in tables.TABLES}
RUNS, ATTEMPTS = MAPPERS[tables.RUNS], MAPPERS[tables.ATTEMPTS]
CURSORS, LINKS = MAPPERS[tables.CURSORS], MAPPERS[tables.LINKS]
PAUSES, SKIPS = MAPPERS[tables.PAUSES], MAPPERS[tables.SKIPS]
HEALTH, TROUBLES = MAPPERS[tables.HEALTH], MAPPERS[tables.TROUBLES]
