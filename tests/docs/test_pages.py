"""The pages of Markdown say what is so: screens are played, job files are read, commands and links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cronflow.cli.verbs import VERBS
from cronflow.jobfile.read import read
from tests.docs import pages
from tests.docs.pages import PAGES, ROOT
from tests.docs.terminal import screen

SCENES = [(page, number) for page in PAGES for number in range(len(pages.scenes(page)))]
JOB_FILES = [(page, number) for page in PAGES for number in range(len(pages.blocks("toml", page)))]
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def named(one: object) -> str:
    return one.name if isinstance(one, Path) else str(one)


@pytest.mark.parametrize(("page", "number"), SCENES, ids=named)
def test_the_screens_are_those_of_the_program(page: Path, number: int) -> None:
    scene = pages.scenes(page)[number]
    for was, now in zip(scene.shown, pages.play(scene), strict=True):
        assert pages.stable(now.screen) == pages.stable(was.screen), f"$ {was.command}"


@pytest.mark.parametrize(("page", "number"), JOB_FILES, ids=named)
def test_every_job_file_is_without_reproach(page: Path, number: int, tmp_path: Path) -> None:
    path = tmp_path / "jobs.toml"
    path.write_text(pages.blocks("toml", page)[number])
    assert [one.message for one in read(str(path)).problems] == []


@every_page
def test_a_fence_says_whether_its_block_is_played(page: Path) -> None:
    assert page.read_text().count("```") == 2 * len(pages.fenced(page))
    assert {block.language for block in pages.fenced(page)} <= pages.LANGUAGES
    for body in pages.blocks("console", page):
        assert body.startswith("$ ")
    for language in ("sh", "text"):
        assert not [body for body in pages.blocks(language, page) if re.search(r"^\$ ", body, re.MULTILINE)]


@every_page
def test_a_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    text = page.read_text()
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_file(), link
        assert target.is_relative_to(ROOT), link
        if anchor:
            assert anchor in pages.anchors(target.read_text()), link


@every_page
def test_a_module_that_is_to_be_run_is_there(page: Path) -> None:
    for module in re.findall(r"python -m (tests[\w.]*|benchmarks[\w.]*|cronflow[\w.]*)", page.read_text()):
        path = ROOT.joinpath(*module.split("."))
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), module


@every_page
def test_a_path_that_is_named_is_there(page: Path) -> None:
    for path in re.findall(r"`((?:tests|cronflow|benchmarks|docs|man|\.ci)/[\w./-]*)`", page.read_text()):
        assert (ROOT / path).exists(), path


@every_page
def test_commands_named_are_verbs(page: Path) -> None:
    typed = "\n".join(pages.blocks("sh", page))
    verbs = set(re.findall(r"(?:`|\$ |sudo )cronflow ([a-z]+)", page.read_text()))
    verbs.update(re.findall(r"^cronflow ([a-z]+)", typed, re.MULTILINE))
    assert verbs <= {verb for section in VERBS.values() for verb in section}


def test_the_terminal_of_these_tests_draws_over_what_was() -> None:
    assert screen("\x1b[?25lone\x1b[K\r\ntwo\x1b[K\r\n\x1b[2Fsix\x1b[K\r\n\x1b[Jend\r\n") == "six\nend"


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("## When a job starts, and when it must be done", "when-a-job-starts-and-when-it-must-be-done"),
        ("# `core`: decides", "core-decides"),
        ("```sh\n# a remark\n```\n# b", "b"),
    ],
)
def test_anchors_are_those_of_github(heading: str, anchor: str) -> None:
    assert pages.anchors(f"{heading}\n") == {anchor}
