"""The package: wheel and source distribution are built, and each is installed into an environment of its own.

Without a network: the tools and dependencies are those of the environment that runs the tests.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

from cronflow import __version__
from tests.docs.pages import PAGES, ROOT

needs_tools = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("build", "hatchling", "pip")),
    reason="build, hatchling or pip is not installed",
)


def call(*words: object, cwd: Path | None = None) -> str:
    done = subprocess.run([str(word) for word in words], cwd=cwd, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel, built from the source distribution, which is built from this tree."""
    folder = tmp_path_factory.mktemp("dist")
    call(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT)
    return folder


def environment(folder: Path) -> Path:
    """A fresh virtual environment, which sees the dependencies of this one behind what is installed into it."""
    call(sys.executable, "-m", "venv", "--without-pip", folder)
    see_dependencies(folder)
    return folder


def see_dependencies(venv: Path) -> None:
    """Have an environment find the dependencies of this one behind what is installed into it."""
    site = Path(sysconfig.get_path("purelib", vars={"base": str(venv), "platbase": str(venv)}))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")


@needs_tools
def test_the_source_distribution_is_complete(dist: Path) -> None:
    with tarfile.open(dist / f"cronflow-{__version__}.tar.gz") as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"pyproject.toml", "LICENSE", "CHANGELOG.md", "sample_jobs.toml", ".ci/run", "man/cronflow.1"}
    assert wanted | {str(page.relative_to(ROOT)) for page in PAGES} <= held
    sources = {str(path.relative_to(ROOT)) for top in ("cronflow", "tests") for path in (ROOT / top).rglob("*.py")}
    assert sources <= held
    assert not [name for name in held if "__pycache__" in name or name.startswith(".venv")]


@needs_tools
def test_the_wheel_holds_the_package_and_the_pages(dist: Path) -> None:
    with zipfile.ZipFile(dist / f"cronflow-{__version__}-py3-none-any.whl") as archive:
        held = set(archive.namelist())
    assert f"cronflow-{__version__}.data/data/share/man/man5/cronflow-jobs.5" in held
    assert f"cronflow-{__version__}.dist-info/licenses/LICENSE" in held
    assert not [name for name in held if name.startswith("tests")]


@needs_tools
@pytest.mark.parametrize("file", [f"cronflow-{__version__}-py3-none-any.whl", f"cronflow-{__version__}.tar.gz"])
def test_it_is_installed_and_works(dist: Path, tmp_path: Path, file: str) -> None:
    venv = environment(tmp_path / "venv")
    offline = ("--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check", "--quiet")
    call(sys.executable, "-m", "pip", "--python", venv / "bin" / "python", "install", *offline, dist / file)
    assert call(venv / "bin" / "cronflow", "--version", cwd=tmp_path) == f"cronflow {__version__}\n"
    where = call(venv / "bin" / "python", "-c", "import cronflow; print(cronflow.__file__)", cwd=tmp_path)
    assert where.startswith(str(venv))
    assert "6 jobs in 1 flow" in call(venv / "bin" / "cronflow", "check", ROOT / "sample_jobs.toml", cwd=tmp_path)
    for page in (ROOT / "man").iterdir():
        assert (venv / "share" / "man" / f"man{page.suffix[1:]}" / page.name).is_file()
