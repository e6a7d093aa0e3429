"""The pages of Markdown as scripts: each `$ command` of a console block is typed, and must leave the screen that stands below it.

    python -m tests.docs.pages            shows the pages with the screens as they are now
    python -m tests.docs.pages --write    puts them into the pages

A fence says what its block is: `toml` is a job file without problems, `console` is played on the last job file above it, `sh` is
for the reader to type and `text` to look at.
"""

from __future__ import annotations

import os
import pwd
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.docs.terminal import COLUMNS, seen

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
LANGUAGES = {"toml", "console", "sh", "text"}
FOLDER, USER = "/srv/nightly", "anna"
"""Where the pages have their job file, and who types there: they stand for a temporary folder, and for whoever runs this."""
_BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SCREEN = re.compile(r"^\$ ([^\n]*)\n((?:(?!\$ )[^\n]*\n)*)", re.MULTILINE)


class Block(NamedTuple):
    """A fenced block: what its fence says, and its text."""

    language: str
    body: str


class Shown(NamedTuple):
    """A command of a console block, and the screen that is printed below it."""

    command: str
    screen: str

    def __str__(self) -> str:
        return f"$ {self.command}\n" + (self.screen + "\n" if self.screen else "")


class Scene(NamedTuple):
    """The commands that are typed one after the other in one folder, and its job file."""

    job_file: str
    shown: list[Shown]


def fenced(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    return [Block(*found) for found in _BLOCK.findall(page.read_text())]


def blocks(language: str, page: Path = README) -> list[str]:
    """The fenced blocks of a language, in order."""
    return [block.body for block in fenced(page) if block.language == language]


def job_file() -> str:
    """The job file of the README's first screen."""
    return blocks("toml")[0]


def scenes(page: Path) -> list[Scene]:
    """What is to be played, in order. A page may begin without a job file."""
    found = [Scene("", [])]
    for language, body in fenced(page):
        if language == "toml":
            found.append(Scene(body, []))
        elif language == "console":
            found[-1].shown.extend(Shown(command, screen.rstrip("\n")) for command, screen in _SCREEN.findall(body))
    return [scene for scene in found if scene.shown]


def environment(folder: Path) -> dict[str, str]:
    """What a person's shell has, with the program of this tree first in PATH."""
    programs = os.pathsep.join((str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"))
    return {
        "PATH": programs,
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "TZ": "Europe/Berlin",
        "TERM": "xterm",
        "NO_COLOR": "1",
        "COLUMNS": str(COLUMNS),
        "PYTHONPATH": str(ROOT),
        "CRONFLOW_FILE": str(folder / "jobs.toml"),
        "CRONFLOW_STATE": str(folder / "state"),
    }


def play(scene: Scene) -> Iterator[Shown]:
    """Do what a page does, in a folder of its own, whose path is short so that lines are broken where the page's are."""
    with tempfile.TemporaryDirectory(prefix="", dir="/tmp") as name:
        folder = Path(name)
        if scene.job_file:
            (folder / "jobs.toml").write_text(scene.job_file)
        env = environment(folder)
        for one in scene.shown:
            yield Shown(one.command, as_told(seen(one.command, folder, env), folder))


def as_told(screen: str, folder: Path) -> str:
    """A screen with the pages' folder and user in the place of the real ones."""
    user = pwd.getpwuid(os.geteuid()).pw_name
    return re.sub(rf"\b{re.escape(user)}\b", USER, screen.replace(str(folder), FOLDER))


def stable(screen: str) -> str:
    """A screen without what is another one each time: clocks, days, durations, pids, and the blanks that align columns."""
    rules: Mapping[str, str] = {
        r"\d{4}-\d\d-\d\d": "DATE",
        r"\d\d:\d\d(:\d\d)?": "CLOCK",
        r"\b(today|tomorrow|yesterday|Mon|Tue|Wed|Thu|Fri|Sat|Sun)\b": "DAY",
        r"\d+(\.\d+)? (s|min|h|d)\b( \d+ (s|min|h)\b)?": "TIME",
        r"\((now|in TIME|TIME ago)\)": "(WHEN)",
        r"pid \d+": "pid N",
        r"[ \t]+": " ",
        r"\b((DAY|DATE) )?CLOCK( in TIME)?": "CLOCK",  # what comes within the next hours is told without its day, and how soon
    }
    for pattern, word in rules.items():
        screen = re.sub(pattern, word, screen)
    return screen


def anchors(text: str) -> set[str]:
    """The anchors of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(_BLOCK, "", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def rewritten(page: Path) -> str:
    """A page with every screen as it is now."""
    done, rest = "", page.read_text()
    for scene in scenes(page):
        for was, now in zip(scene.shown, play(scene), strict=True):
            before, _, rest = rest.partition(str(was))
            done += before + str(now)
    return done + rest


if __name__ == "__main__":
    for page in PAGES:
        if "--write" in sys.argv:
            page.write_text(rewritten(page))
        else:
            print(rewritten(page), end="")
