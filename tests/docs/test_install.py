"""The README's two lines that install it for good: typed as they stand, with a folder in the place of the root of the machine.

Without a network: the tools and dependencies are those of the environment that runs the tests.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cronflow import __version__
from tests.docs.pages import ROOT, blocks
from tests.docs.test_package import needs_tools, see_dependencies

OFFLINE = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
"""pip(1): each option is a variable too. The value of `--no-build-isolation` there is, for historical reasons, the opposite."""
SUDO = '#!/bin/sh\nexec "$@"\n'


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with /opt and /usr/local after the two lines."""
    root = tmp_path_factory.mktemp("machine")
    for folder in ("opt", "bin", "usr/local/bin", "usr/local/share/man/man1", "home"):
        (root / folder).mkdir(parents=True)
    (root / "bin" / "sudo").write_text(SUDO)
    (root / "bin" / "sudo").chmod(0o755)
    (root / "bin" / "python3").symlink_to(os.path.realpath(sys.executable))
    lines = "".join(block for block in blocks("sh") if "/opt/cronflow" in block).splitlines()
    assert len(lines) == 2
    venv, *rest = (part for line in lines for part in line.split(" && "))
    assert venv == "sudo python3 -m venv /opt/cronflow"
    act(root, venv)
    see_dependencies(root / "opt" / "cronflow")
    for part in rest:
        act(root, part)
    return root


def act(root: Path, line: str) -> str:
    """Type a line in the folder of the sources; what it prints."""
    line = line.replace("/opt/", f"{root}/opt/").replace("/usr/local/", f"{root}/usr/local/")
    path = f"{root}/usr/local/bin:{root}/bin:{os.environ['PATH']}"
    env = {"PATH": path, "HOME": str(root / "home"), "LANG": "C.UTF-8", **OFFLINE}
    done = subprocess.run(["sh", "-c", line], cwd=ROOT, env=env, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_tools
def test_the_program_is_found_and_works_outside_of_the_sources(machine: Path) -> None:
    assert act(machine, "command -v cronflow") == f"{machine}/usr/local/bin/cronflow\n"
    assert act(machine, "cd /; cronflow --version") == f"cronflow {__version__}\n"


@needs_tools
@pytest.mark.skipif(shutil.which("man") is None, reason="man-db is not installed")
@pytest.mark.parametrize("page", sorted(path.name for path in (ROOT / "man").iterdir()))
def test_man_finds_each_page_beside_the_program(machine: Path, page: str) -> None:
    name, section = page.rsplit(".", 1)
    place = f"share/man/man{section}/{page}"
    assert act(machine, f"man -w {section} {name}") == f"{machine}/opt/cronflow/{place}\n"  # man(1) follows links
    assert (machine / "usr/local" / place).read_text() == (ROOT / "man" / page).read_text()


@needs_tools
def test_an_upgrade_is_the_first_line_again(machine: Path) -> None:
    (first, _) = "".join(block for block in blocks("sh") if "/opt/cronflow" in block).splitlines()
    (machine / "opt/cronflow/share/man/man1/cronflow.1").write_text("that of the version before")
    act(machine, first)
    assert (machine / "usr/local/share/man/man1/cronflow.1").read_text() == (ROOT / "man" / "cronflow.1").read_text()
    assert act(machine, "cd /; cronflow --version") == f"cronflow {__version__}\n"
