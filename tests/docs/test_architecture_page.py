"""The architecture page shows the rooms that there are, and the laws that the engine names."""

from __future__ import annotations

import re
from pathlib import Path

from cronflow.core import engine
from tests.docs.pages import ROOT

TEXT = (ROOT / "docs" / "architecture.md").read_text()
PACKAGE = ROOT / "cronflow"


def section(title: str) -> str:
    """The text below a heading, up to the next one."""
    return TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def rooms(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if (path / "__init__.py").is_file()}


def test_the_picture_and_the_table_are_of_the_rooms_that_there_are() -> None:
    text = section("The rooms")
    assert set(re.findall(r"^[├└]── (\w+)/", text, re.MULTILINE)) == rooms(PACKAGE)
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == rooms(PACKAGE)


def test_the_table_of_core_is_whole() -> None:
    cells = re.findall(r"^\| (`.+?`) \|", section("Inside core"), re.MULTILINE)
    named = {name for cell in cells for name in re.findall(r"`([\w/.]+)`", cell)}
    assert {name for name in named if not (PACKAGE / "core" / name).exists()} == set()
    assert {name.rstrip("/") for name in named if name.endswith("/")} == rooms(PACKAGE / "core")


def test_the_laws_are_those_of_the_engine() -> None:
    def laws(text: str) -> list[str]:
        return [" ".join(law.split()) for law in re.findall(r"^\d\. (.+(?:\n   ?\S.*)*)", text, re.MULTILINE)]

    told, kept = laws(section("The laws")), laws(engine.__doc__ or "")
    assert len(kept) == 7
    assert [law.partition(".")[0].partition(":")[0] for law in told] == [law.partition(".")[0].partition(":")[0] for law in kept]


def test_every_file_is_there_and_has_the_names_that_are_said_to_be_in_it() -> None:
    files = [str(path.relative_to(ROOT)) for folder in ("cronflow", "tests") for path in (ROOT / folder).rglob("*.py")]

    def found(name: str) -> list[str]:
        return [file for file in files if file.endswith(f"/{name}")]

    assert [name for name in re.findall(r"`([\w/]+\.py)`", TEXT) if not found(name)] == []
    placed = [
        (file, name)
        for file, names in re.findall(r"`([\w/]+\.py)`: ((?:`\w+`(?:, | and )?)+)", section("Where to change what"))
        for name in re.findall(r"`(\w+)`", names)
    ]
    assert len(placed) >= 8
    defined = r"^ *(?:(?:def|class) {0}\b|{0}\b.* = )"
    missing = [
        (file, name)
        for file, name in placed
        if not any(re.search(defined.format(name), (ROOT / one).read_text(), re.MULTILINE) for one in found(file))
    ]
    assert missing == []
