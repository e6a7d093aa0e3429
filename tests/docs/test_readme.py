"""The README says what is so: its screens are played, its commands and links lead somewhere, its picture is that of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cronflow.cli.verbs import BY_NAME
from cronflow.core import engine
from cronflow.jobfile import keys
from cronflow.jobfile.read import read
from tests.docs import readme
from tests.docs.terminal import screen

TEXT = readme.README.read_text()


def section(title: str) -> str:
    """The text below a heading, up to the next one."""
    return TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_the_screens_are_those_of_the_program() -> None:
    told = readme.shown()
    assert len(told) >= 3
    for was, now in zip(told, readme.play(), strict=True):
        assert readme.stable(now.screen) == readme.stable(was.screen), f"$ {was.command}"


def test_the_job_file_is_without_reproach(tmp_path: Path) -> None:
    path = tmp_path / "jobs.toml"
    path.write_text(readme.job_file())
    assert read(str(path)).problems == []


@pytest.mark.parametrize("number", range(len(readme.blocks("toml"))))
def test_every_part_of_a_job_file_is_accepted(number: int, tmp_path: Path) -> None:
    path = tmp_path / "jobs.toml"
    path.write_text(readme.blocks("toml")[number])
    assert [one.message for one in read(str(path)).problems] == []


def test_the_second_command_is_what_ci_runs() -> None:
    first, second = (body.strip() for body in readme.blocks("sh")[:2])
    assert "sample_jobs.toml run" in first
    assert "pytest" in second
    assert "\n" not in first + second
    assert f"\n{second}\n" in (readme.ROOT / ".ci" / "run").read_text()


def test_ci_is_one_that_can_be_run() -> None:
    assert (readme.ROOT / ".ci" / "run").stat().st_mode & 0o111


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#:]+)\)", TEXT))))
def test_a_link_leads_to_a_file(link: str) -> None:
    assert (readme.ROOT / link).is_file()


@pytest.mark.parametrize("module", sorted(set(re.findall(r"python -m (tests\.[\w.]+|benchmarks[\w.]*)", TEXT))))
def test_a_module_that_is_to_be_run_is_there(module: str) -> None:
    path = readme.ROOT.joinpath(*module.split("."))
    assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()


def test_commands_named_are_verbs() -> None:
    named = set(re.findall(r"(?:`|\$ |sudo )cronflow ([a-z]+)", TEXT))
    assert len(named) > 5
    assert named <= BY_NAME.keys()


def test_what_is_not_yet_is_not_there() -> None:
    later = keys.JOB_LATER | keys.SETTINGS_LATER
    words = set(re.findall(r"`([a-z_]+)`", section("What it is not")))
    assert words & later
    assert not words & (BY_NAME.keys() | keys.JOB.keys() | keys.SETTINGS.keys())


def test_the_picture_of_the_rooms_is_that_of_the_package() -> None:
    package = readme.ROOT / "cronflow"
    rooms = {path.name for path in package.iterdir() if (path / "__init__.py").is_file()}
    assert set(re.findall(r"^[├└]── (\w+)/", section("How it is built"), re.MULTILINE)) == rooms


def test_the_laws_are_those_of_the_engine() -> None:
    def laws(text: str) -> list[str]:
        return [" ".join(law.split()) for law in re.findall(r"^\d\. (.+(?:\n   ?\S.*)*)", text, re.MULTILINE)]

    told, kept = laws(section("How it is built")), laws(engine.__doc__ or "")
    assert len(kept) == 7
    assert [law.partition(".")[0].partition(":")[0] for law in told] == [law.partition(".")[0].partition(":")[0] for law in kept]


def test_the_terminal_of_these_tests_draws_over_what_was() -> None:
    assert screen("\x1b[?25lone\x1b[K\r\ntwo\x1b[K\r\n\x1b[2Fsix\x1b[K\r\n\x1b[Jend\r\n") == "six\nend"
