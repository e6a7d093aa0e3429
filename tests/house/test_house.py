"""The rules of the house, read from its source: who may import whom, and what a room must not do (docs/architecture.md)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.house.reading import ROOT, House, room

HOUSE = House()

SMALL = frozenset({"cronflow", "errors", "places", "files", "linux", "wire", "ask"})
"""Files at the top of the package, which every room may import, and the package itself for its version."""

ARROWS: Mapping[str, frozenset[str]] = {
    "core": frozenset(),
    "jobfile": frozenset({"core"}),
    "store": frozenset({"core"}),
    "keeper": frozenset(),
    "watch": frozenset({"core"}),
    "facts": frozenset({"core", "jobfile", "store", "keeper"}),  # keeper/output.py: how a capped log is read
    "alerts": frozenset({"core", "store", "facts"}),
    "daemon": frozenset({"core", "jobfile", "store", "keeper", "watch", "alerts"}),
    "crontab": frozenset({"core", "jobfile"}),
    "export": frozenset({"core", "jobfile"}),
    "doctor": frozenset({"core", "jobfile", "store", "keeper", "alerts", "daemon", "crontab"}),
    "cli": frozenset({"core", "jobfile", "store", "facts", "alerts", "daemon", "crontab", "export", "doctor"}),
}
"""Room → the rooms that it may import."""

SMALL_ARROWS: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(("cronflow", "errors", "files", "linux", "wire"), frozenset()),
    "ask": frozenset({"linux"}),
    "places": frozenset({"errors"}),
}
"""The same for the small files: four of them, of which the keeper takes three, import nothing of the package."""

NOT_IN_CORE = {"io", "os", "time", "random", "sqlite3", "subprocess", "logging", "socket", "pathlib", "tempfile", "threading"}
NOT_IN_TIME = {"croniter"}
"""What `core` imports nowhere but in `core/time/secondopinion.py`, which asks it for its opinion."""

SQL = re.compile(
    r"\b(SELECT\s.+\sFROM\s|INSERT\s.+\sINTO\s|UPDATE\s+\w+\s+SET\s|DELETE\s+FROM\s|CREATE\s+(TABLE|INDEX)\s|PRAGMA\s)", re.DOTALL
)


def breaches(house: House) -> list[str]:
    """Everything in a house that is against its rules."""
    return [*_arrows(house), *_core(house), *_keeper(house), *_sql(house), *_pairs(house)]


def _arrows(house: House) -> list[str]:
    found = []
    for module in house.trees:
        mine = room(module)
        allowed = ARROWS[mine] | SMALL | {mine} if mine in ARROWS else SMALL_ARROWS.get(mine, frozenset()) | {mine}
        for other in house.inner(module):
            if room(other) not in allowed:
                found.append(f"{module} imports {other}: `{mine}` may not import `{room(other)}`")
    return found


def _core(house: House) -> list[str]:
    found = []
    for module in [module for module in house.trees if room(module) == "core"]:
        tops = {name.partition(".")[0] for name in house.imports(module)}
        found += [f"{module} imports {name}: `core` decides, and does nothing" for name in sorted(tops & NOT_IN_CORE)]
        if module != "cronflow.core.time.secondopinion":
            found += [f"{module} imports {name}" for name in sorted(tops & NOT_IN_TIME)]
    return found


def _keeper(house: House) -> list[str]:
    import sys

    found = []
    for module in [module for module in house.trees if room(module) in ("keeper", "linux", "wire", "files")]:
        for name in house.imports(module):
            top = name.partition(".")[0]
            ours = top == "cronflow" and room(name) in ("keeper", "linux", "wire", "files")
            if not ours and top not in sys.stdlib_module_names:
                found.append(f"{module} imports {name}: the keeper has the standard library only")
    return found


def _sql(house: House) -> list[str]:
    outside = [module for module in house.trees if room(module) != "store"]
    return [f"{module} contains SQL: {text[:60]!r}" for module in outside for text in house.strings(module) if SQL.search(text)]


def _pairs(house: House) -> list[str]:
    return [
        f"{one} and {other} import each other"
        for one in house.trees
        for other in house.inner(one)
        if one < other and one in house.inner(other)
    ]


def test_the_house_keeps_its_rules() -> None:
    assert breaches(HOUSE) == []


def test_every_room_has_its_arrows() -> None:
    rooms = {room(module) for module in HOUSE.trees}
    assert rooms == ARROWS.keys() | SMALL_ARROWS.keys()


VIOLATIONS = {
    "an arrow that runs back": ("facts/known.py", "from cronflow.cli import names"),
    "a clock in core": ("core/engine.py", "def now():\n    import time\n    return time.time()"),
    "a library in the keeper": ("keeper/holder.py", "import psutil"),
    "SQL outside the store": ("daemon/daemon.py", 'QUERY = "SELECT id FROM runs WHERE state = ?"'),
    "a pair, for types only": (
        "core/run/queue.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from cronflow.core.run import attempts",
    ),
    "the loop in the room of alerts": ("alerts/outbox.py", "def loop():\n    from cronflow.daemon import daemon"),
    "a shared file that imports a room": ("linux.py", "from cronflow.core import words"),
}


@pytest.mark.parametrize("name", VIOLATIONS)
def test_a_violation_is_noticed(name: str, tmp_path: Path) -> None:
    file, line = VIOLATIONS[name]
    for module in HOUSE.trees:
        path = Path(*module.split("."))
        path = path / "__init__.py" if (ROOT / path).is_dir() else path.with_suffix(".py")
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes((ROOT / path).read_bytes())
    path = tmp_path / "cronflow" / file
    path.write_text(f"{path.read_text()}\n\n{line}\n")
    assert breaches(House(tmp_path)) != []


def test_the_page_prints_the_arrows() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    for name, rooms in ARROWS.items():
        (row,) = re.findall(rf"^\| `{name}` \|[^|]*\|([^|]*)\|", text, re.MULTILINE)
        assert set(re.findall(r"`(\w+)`", row)) == rooms, name
