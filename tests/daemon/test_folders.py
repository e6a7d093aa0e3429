"""Patterns of files: what one look finds in real folders, and which folders it has watched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cronflow.watch.folders import ScanResult, base_of, scan


def scan_of(folder: Path, *patterns: str) -> tuple[ScanResult, set[str]]:
    """A look at patterns that are relative to a folder, and the folders it had watched, relative too."""
    watched: list[str] = []

    def watch(path: str) -> int:
        watched.append(path)
        return len(watched)

    found = scan([os.path.join(folder, pattern) for pattern in patterns], watch)
    assert len(watched) == len(set(watched)) == len(found.numbers)
    return found, {os.path.relpath(path, folder) for path in watched}


def names(folder: Path, *patterns: str) -> list[str]:
    return sorted(os.path.relpath(path, folder) for path in scan_of(folder, *patterns)[0].files)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("a.csv", "b.csv", "c.txt", ".hidden.csv", "x/a.csv", "x/deep/er/a.csv", "y/a.csv", ".git/a.csv", "[z]/a.csv"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path


@pytest.mark.parametrize(
    ("patterns", "files"),
    [
        (["*.csv"], ["a.csv", "b.csv"]),
        (["?.csv", "*.txt"], ["a.csv", "b.csv", "c.txt"]),
        (["[b-z].*"], ["b.csv", "c.txt"]),
        (["a.csv"], ["a.csv"]),
        (["none.csv"], []),
        ([".*.csv"], [".hidden.csv"]),
        (["*/a.csv"], ["[z]/a.csv", "x/a.csv", "y/a.csv"]),
        (["x/*"], ["x/a.csv"]),
        (["x/**"], ["x/a.csv", "x/deep/er/a.csv"]),
        (["**/a.csv"], ["[z]/a.csv", "a.csv", "x/a.csv", "x/deep/er/a.csv", "y/a.csv"]),
        (["**/er/*.csv"], ["x/deep/er/a.csv"]),
        (["**/**/deep/**/a.csv"], ["x/deep/er/a.csv"]),
        (["[[]z]/*"], ["[z]/a.csv"]),
        ([".git/*"], [".git/a.csv"]),
        (["a.csv/*"], []),
        (["x"], []),
    ],
)
def test_a_pattern_finds_its_files(tree: Path, patterns: list[str], files: list[str]) -> None:
    assert names(tree, *patterns) == files


def test_every_folder_in_which_a_file_may_appear_is_watched(tree: Path) -> None:
    assert scan_of(tree, "*.csv")[1] == {"."}
    assert scan_of(tree, "a.csv")[1] == {"."}
    assert scan_of(tree, "*/a.csv")[1] == {".", "x", "y", "[z]"}
    assert scan_of(tree, "x/**/a.csv")[1] == {"x", "x/deep", "x/deep/er"}


def test_of_a_folder_that_is_missing_the_nearest_above_is_watched(tree: Path) -> None:
    found, watched = scan_of(tree, "no/such/folder/*.csv")
    assert (found.files, found.bases, watched) == ({}, {}, {"."})


def test_a_folder_that_is_made_while_the_one_above_is_reached_is_not_overlooked(tmp_path: Path) -> None:
    def watch(_path: str) -> int:
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in/a").touch()
        return 1

    assert list(scan([f"{tmp_path}/in/*"], watch).files) == [f"{tmp_path}/in/a"]


def test_links_lead_to_files_and_folders_but_not_below_two_stars(tree: Path) -> None:
    (tree / "link.csv").symlink_to("c.txt")
    (tree / "dangling.csv").symlink_to("nowhere")
    (tree / "loop.csv").symlink_to("loop.csv")
    (tree / "x/up").symlink_to("..")
    assert names(tree, "*.csv") == ["a.csv", "b.csv", "link.csv"]
    assert names(tree, "x/*/c.txt") == ["x/up/c.txt"]
    assert names(tree, "x/**/c.txt") == []


def test_only_regular_files_count_and_no_name_with_a_line_break(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "two\nlines").touch()
    (tmp_path / "file").touch()
    assert names(tmp_path, "*") == ["file"]


def test_a_stamp_changes_with_size_time_and_file(tmp_path: Path) -> None:
    def stamp() -> str:
        return scan_of(tmp_path, "a")[0].files[str(tmp_path / "a")]

    path = tmp_path / "a"
    path.write_text("one")
    os.utime(path, ns=(1, 1))
    stamps = [stamp()]
    path.write_text("more")
    os.utime(path, ns=(1, 1))
    stamps.append(stamp())
    os.utime(path, ns=(1, 2))
    stamps.append(stamp())
    other = tmp_path / "b"
    other.write_text("more")
    os.utime(other, ns=(1, 2))
    other.rename(path)
    stamps.append(stamp())
    assert len(set(stamps)) == 4
    assert {base_of(one) for one in stamps} == {str(tmp_path.stat().st_ino)}
    assert stamp() == stamps[-1]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_told(tree: Path) -> None:
    (tree / "x").chmod(0)
    try:
        found, _ = scan_of(tree, "**/a.csv")
    finally:
        (tree / "x").chmod(0o755)
    assert found.unread == [str(tree / "x")]


def test_a_tree_that_is_deeper_than_calls_may_be_is_no_trouble(tmp_path: Path) -> None:
    deep = tmp_path
    for _ in range(1200):
        deep = deep / "d"
        deep.mkdir()
    assert names(tmp_path, "**/none") == []
    while deep != tmp_path:  # shutil cannot
        deep.rmdir()
        deep = deep.parent
