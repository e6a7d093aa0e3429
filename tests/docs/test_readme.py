"""The README is short, leads to every other page, and tells how to try, test and install the program."""

from __future__ import annotations

import re

from cronflow.cli.verbs import BY_NAME
from cronflow.jobfile import keys
from tests.docs.pages import PAGES, README, ROOT, blocks

TEXT = README.read_text()


def section(title: str) -> str:
    """The text below a heading, up to the next one."""
    return TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_it_can_be_read_in_a_sitting() -> None:
    assert len(TEXT.splitlines()) <= 220


def test_it_names_every_page_and_every_man_page() -> None:
    links = set(re.findall(r"\]\(([^)#]+)\)", section("Where everything else is")))
    pages = {str(page.relative_to(ROOT)) for page in PAGES if page != README}
    assert links >= pages | {f"man/{page.name}" for page in (ROOT / "man").iterdir()} | {"CHANGELOG.md"}


def test_ci_runs_the_commands_that_test_it() -> None:
    first, second = (body.strip().splitlines() for body in blocks("sh")[:2])
    assert first[-1].endswith("--file sample_jobs.toml run packages")
    assert second[-1].endswith("pytest -n 3")
    script = ROOT / ".ci" / "run"
    assert "tests() {\n" + " &&\n".join(f"    {line}" for line in second) + "\n}" in script.read_text()
    assert script.stat().st_mode & 0o111


def test_what_is_not_yet_is_not_there() -> None:
    later = frozenset().union(*keys.LATER.values())
    words = set(re.findall(r"`([a-z_]+)`", section("What it is not")))
    assert words >= later
    assert not words & (BY_NAME.keys() | keys.JOB.keys() | keys.SETTINGS.keys())
