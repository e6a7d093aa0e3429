"""The README as a script: its job file, and its console blocks in order, each `$ command` with the screen that it left.

    python -m tests.docs.readme            shows the README with the screens as they are now
    python -m tests.docs.readme --write    puts them into it
"""

from __future__ import annotations

import os
import pwd
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.docs.terminal import COLUMNS, seen

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
FOLDER, USER = "/srv/nightly", "anna"
"""Where the README has its job file, and who types there: they stand for a temporary folder, and for whoever runs this."""
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SCREEN = re.compile(r"^\$ ([^\n]*)\n((?:(?!\$ )[^\n]*\n)*)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Shown:
    """A command of a console block, and the screen that is printed below it."""

    command: str
    screen: str


def blocks(language: str, text: str | None = None) -> list[str]:
    """The fenced blocks of a language, in order."""
    found = _BLOCK.findall(README.read_text() if text is None else text)
    return [body for name, body in found if name == language]


def job_file() -> str:
    """The first TOML block: the job file on which the console blocks work."""
    return blocks("toml")[0]


def shown() -> list[Shown]:
    """Every command of the console blocks."""
    return [Shown(command, screen.rstrip("\n")) for body in blocks("console") for command, screen in _SCREEN.findall(body)]


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


def play() -> Iterator[Shown]:
    """Do what the README does, in a folder of its own, whose path is short so that lines are broken where the README's are."""
    with tempfile.TemporaryDirectory(prefix="", dir="/tmp") as name:
        folder = Path(name)
        (folder / "jobs.toml").write_text(job_file())
        env = environment(folder)
        for one in shown():
            yield Shown(one.command, as_told(seen(one.command, folder, env), folder))


def as_told(screen: str, folder: Path) -> str:
    """A screen with the README's folder and user in the place of the real ones."""
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


def rewritten() -> str:
    """The README with every screen as it is now."""
    text = README.read_text()
    for was, now in zip(shown(), play(), strict=True):
        before = f"$ {was.command}\n" + (was.screen + "\n" if was.screen else "")
        after = f"$ {now.command}\n" + (now.screen + "\n" if now.screen else "")
        text = text.replace(before, after, 1)
    return text


if __name__ == "__main__":
    if "--write" in sys.argv:
        README.write_text(rewritten())
    else:
        print(rewritten(), end="")
