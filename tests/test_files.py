"""What a file that a person wrote may turn out to be."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from cronflow.files import NotRegularError, read_regular


@pytest.mark.parametrize("size", [0, 1, 99, 100, 200_000])
def test_a_file_is_read_whole_up_to_the_limit(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(size))
    data, about = read_regular(path, max(size, 1))
    assert data == bytes(size)
    assert about.st_size == size


def test_of_a_larger_file_one_byte_more_than_the_limit_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 300_000)
    for limit in (0, 10, 100_000, 299_999):
        assert len(read_regular(tmp_path / "file", limit)[0]) == limit + 1


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NotRegularError):
        read_regular(tmp_path / "pipe", 10)


def test_other_things_are_told_by_kind(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        read_regular(tmp_path, 10)
    with pytest.raises(NotRegularError):
        read_regular("/dev/null", 10)
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "missing", 10)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "sock"))
        with pytest.raises(OSError, match="No such device"):
            read_regular(tmp_path / "sock", 10)


def test_a_link_is_followed_unless_that_is_forbidden(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("file")
    assert read_regular(tmp_path / "link", 10)[0] == b"x"
    with pytest.raises(OSError, match="symbolic links"):
        read_regular(tmp_path / "link", 10, os.O_NOFOLLOW)


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    for path in (tmp_path, tmp_path / "missing", "/dev/null"):
        with pytest.raises(OSError):  # noqa: PT011 (which one is told above)
            read_regular(path, 10)
    assert os.listdir("/proc/self/fd") == before
