from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from cronflow.keeper import output

from .conftest import House, eventually, exited

MB = 1 << 20


def on_disk(path: Path) -> int:
    return path.stat().st_blocks * 512


def text(path: Path, **bounds: int) -> bytes:
    return b"".join(output.read_log(str(path), **bounds))


def test_a_flood_keeps_its_head_and_tail(house: House) -> None:
    keeper = house.start()
    end = house.run(keeper, "a", "echo first; head -c 300000000 /dev/zero | tr '\\0' x; echo; echo last", max_output=MB)
    log = house.log("a")
    assert exited(end["status"]) == 0
    assert end["output_bytes"] == 300_000_000 + 12
    assert on_disk(log) <= MB + 64 * 1024
    shown = text(log)
    assert shown.startswith(b"first\nxxx")
    assert shown.endswith(b"xxx\nlast\n")
    assert shown.count("dropped …\n".encode()) == 1
    assert "… 299 MB dropped …" in shown.decode()


def test_a_flood_without_end_stays_bounded_while_it_runs(house: House) -> None:
    keeper = house.start()
    house.spawn(keeper, "a", "yes", max_output=MB, kill_after=1)
    most = 0
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        most = max(most, on_disk(house.log("a")) if house.log("a").exists() else 0)
        time.sleep(0.02)
    assert exited(house.run(keeper, "b", "true")["status"]) == 0
    house.stop(keeper, "a")
    end = house.final(keeper, "a")
    assert end["output_bytes"] > 10 * MB
    assert most < end["output_bytes"] / 2
    assert on_disk(house.log("a")) <= MB + 64 * 1024


def test_a_flood_after_a_long_silence_is_noticed(house: House) -> None:
    keeper = house.start()
    log = house.log("a")
    house.spawn(keeper, "a", f"echo up; while [ ! -e {house.folder}/go ]; do sleep 0.05; done; yes", max_output=MB)
    eventually(log.exists)
    time.sleep(0.6)
    (house.folder / "go").touch()
    eventually(lambda: log.stat().st_size > 20 * MB)
    eventually(lambda: on_disk(log) < log.stat().st_size / 2)
    house.stop(keeper, "a")
    house.final(keeper, "a")
    assert on_disk(log) <= MB + 64 * 1024


def test_little_output_is_left_as_it_is(house: House) -> None:
    keeper = house.start()
    house.run(keeper, "a", "seq 1000; sleep 0.3; seq 1000", max_output=MB)
    assert text(house.log("a")) == b"".join(b"%d\n" % n for n in range(1, 1001)) * 2


@pytest.fixture
def flooded(tmp_path: Path) -> Path:
    path = tmp_path / "log"
    path.write_bytes(b"".join(b"line %08d\n" % number for number in range(100_000)))
    return path


def test_the_middle_goes_and_the_count_is_exact(flooded: Path) -> None:
    whole = flooded.read_bytes()
    output.trim(str(flooded), 200_000)
    with open(flooded, "rb") as file:
        (start, first), (second, end) = output.pieces(file.fileno())
    shown = text(flooded)
    marker = output.marker(second - first)
    assert (start, end) == (0, len(whole))
    assert shown.replace(b"\n" + marker, b"").replace(marker, b"") == whole[:first] + whole[second:]
    assert first >= 100_000
    assert end - second >= 100_000
    assert on_disk(flooded) <= 200_000 + 3 * 4096


def test_a_file_system_without_holes_gets_the_tail_behind_the_head(flooded: Path) -> None:
    whole = flooded.read_bytes()
    fd = os.open(flooded, os.O_RDWR)
    output.collapse(fd, 50_000, 60_000)
    with open(flooded, "ab") as file:
        file.write(b"more\n" * 30_000)
    output.collapse(fd, 50_000, 60_000)
    os.close(fd)
    shown = text(flooded)
    lost = len(whole) + 150_000 - 110_000
    assert shown == whole[:50_000] + f"\n… {lost} bytes dropped …\n".encode() + (b"more\n" * 12_000)
    assert output.written(str(flooded), 100_000) == len(whole) + 150_000


def test_a_collapse_in_the_midst_of_writing_keeps_the_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    writer = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    fd = os.open(path, os.O_RDWR)
    for number in range(50):
        os.write(writer, b"%d\n" % number * 1000)
        output.collapse(fd, 1000, 1000)
        assert path.stat().st_size < 2100
    assert path.read_bytes().endswith(b"49\n")
    assert output.written(str(path), 2000) == sum(len(b"%d\n" % n) * 1000 for n in range(50))


def test_a_collapse_beside_one_who_writes_all_the_time_keeps_order_and_count(tmp_path: Path) -> None:
    path = tmp_path / "log"
    writer = subprocess.Popen(["sh", "-c", f"exec >> {path}; seq -f %012.0f 1000000; sleep 0.2; echo last"])
    eventually(lambda: path.exists() and path.stat().st_size > 2000)
    fd = os.open(path, os.O_RDWR)
    collapses = 0
    while writer.poll() is None:
        output.collapse(fd, 1000, 100_000)
        collapses += 1
        time.sleep(0.002)
    shown = path.read_bytes()
    marker = re.search(rb"\n\xe2\x80\xa6 \d+ bytes dropped \xe2\x80\xa6\n", shown)
    assert marker is not None
    assert marker.start() == 1000
    assert shown.endswith(b"\nlast\n")
    written = b"".join(b"%012d\n" % number for number in range(1, 1_000_001))
    assert passages(shown[marker.end() : -len(b"last\n")], written) <= collapses + 1
    assert abs(output.written(str(path), 2000) - 13 * 1_000_000) < 4096 * 100


def passages(shown: bytes, written: bytes) -> int:
    """Of how many passages of what was written, in order, `shown` consists: what was written in the moment of a copy is lost."""
    count = at = 0
    while shown:
        low, high = 0, len(shown)
        places = (written.find(shown[:size], at) for size in range(60, 0, -1))
        at = next((place for place in places if place >= 0), -1)
        assert at >= 0, f"{shown[:60]!r} was not written, or not after what stands before it"
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if written.startswith(shown[:middle], at) else (low, middle - 1)
        shown, at, count = shown[low:], at + low, count + 1
    return count


@pytest.mark.parametrize(("bounds", "begins", "ends"), [
    ({"head": 28}, b"line 00000000\nline 00000001\n", b"line 00000001\n"),
    ({"tail": 28}, b"line 00099998\n", b"line 00099999\n"),
    ({"head": 14, "tail": 14}, b"line 00000000\n\xe2\x80\xa6 1.4 MB dropped", b"line 00099999\n"),
])
def test_a_log_is_read_from_its_ends(flooded: Path, bounds: dict[str, int], begins: bytes, ends: bytes) -> None:
    for _ in range(2):
        shown = text(flooded, **bounds)
        assert shown.startswith(begins)
        assert shown.endswith(ends)
        assert len(shown) < 100
        output.trim(str(flooded), 200_000)


@pytest.mark.parametrize(("count", "shown"), [
    (1, "1 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (123_456_789, "123 MB"), (7_000_000_000_000, "7000 GB"),
])
def test_the_marker_is_for_people(count: int, shown: str) -> None:
    assert output.marker(count).decode() == f"… {shown} dropped …\n"
