"""CONTRIBUTING knows every folder of tests, and every variable that it names is read by one of them."""

from __future__ import annotations

import re

from tests.docs.pages import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text()


def test_every_folder_of_tests_is_in_the_table() -> None:
    there = {f"tests/{path.parent.name}" for path in (ROOT / "tests").glob("*/__init__.py")}
    assert set(re.findall(r"^\| `(tests/\w+)` \|", TEXT, re.MULTILINE)) == there


def test_every_variable_is_read_by_a_test() -> None:
    named = set(re.findall(r"\bCRONFLOW_[A-Z]+\b", TEXT))
    read = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert named
    assert {name for name in named if f'environ.get("{name}"' not in read} == set()


def test_every_row_of_faults_that_is_named_is_there() -> None:
    from tests.faults.rows import every

    named = set(re.findall(r"\bkill-\w+", TEXT))
    assert named
    assert named <= {row.name for row in every()}
