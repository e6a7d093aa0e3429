from __future__ import annotations

import errno
import fcntl
import os
import re
import resource
import shutil
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from cronflow.keeper import tree
from cronflow.linux import HIGHEST_PRIORITY

from .conftest import House, eventually, exited

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")

OURS = sum(1 << (number - 1) for number in signal.valid_signals())
"""Those that a program may set; libc keeps two for itself, and what it inherits for them it passes on."""
PYTHON_IGNORES = 1 << (signal.SIGPIPE - 1) | 1 << (signal.SIGXFSZ - 1)


def test_a_command_runs_and_its_end_is_told_whole(house: House) -> None:
    keeper = house.start()
    end = house.run(keeper, "1/a/1", "echo out; echo err >&2; exit 3")
    begin = house.started(keeper, "1/a/1")
    assert exited(end["status"]) == 3
    assert house.log("1/a/1").read_text() == "out\nerr\n"
    assert stat.S_IMODE(house.log("1/a/1").stat().st_mode) == 0o600
    assert end["output_bytes"] == 8
    assert begin["at"] == end["started_at"] <= end["at"]
    assert end["cpu_s"] > 0
    assert end["max_rss_kb"] > 0
    assert end["left_behind"] == []
    assert end["stopped"] is None


def test_a_command_begins_with_nothing_of_its_keeper(house: House) -> None:
    keeper = house.start()
    script = (
        "import os,sys,signal\n"
        "print(sorted(os.listdir('/proc/self/fd'), key=int)[:-1])\n"
        "print([l for l in open('/proc/self/status') if l.startswith(('SigBlk', 'SigIgn'))])\n"
        "print(os.getsid(0) == os.getpid(), os.isatty(0), os.read(0, 1), sorted(os.environ))\n"
        "print(open('/proc/self/oom_score_adj').read().strip(), os.getcwd())\n"
    )
    env = {"CRONFLOW_ID": "a", "X": "1"}
    python = shutil.which("python3", path="/usr/bin:/bin") or "/usr/bin/python3"
    house.run(keeper, "a", [python, "-I", "-S", "-c", script], env=env)
    fds, masks, session, adj = house.log("a").read_text().splitlines()
    assert fds == "['0', '1', '2']"
    blocked, ignored = [int(line.split()[1].rstrip("\\n"), 16) for line in eval(masks)]
    assert (blocked & OURS, ignored & OURS & ~PYTHON_IGNORES) == (0, 0)
    assert session.startswith("True False b'' ")
    assert "'X'" in session
    assert not {name for name in eval(session.split("b'' ")[1]) if name.startswith("PYTHON")}
    adjusted, folder = adj.split()
    assert int(adjusted) >= 0
    assert folder == "/"


def test_more_commands_than_its_caller_may_have_files_and_these_have_its_limit(house: House) -> None:
    few, most = 64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (few, most))
    try:
        keeper = house.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    names = [str(number) for number in range(few)]
    for name in names:
        house.spawn(keeper, name, "ulimit -Sn; ulimit -Hn; exec sleep 60")
    assert {house.started(keeper, name)["type"] for name in names} == {"started"}
    limits = f"{few}\n{'unlimited' if most == resource.RLIM_INFINITY else most}\n"
    eventually(lambda: house.log("0").read_text() == limits)
    assert not [message for message in house.said if message["type"] == "failed"]
    for name in names:
        house.stop(keeper, name, now=True)


def test_no_signal_is_ignored_in_a_command(house: House) -> None:
    keeper = house.start()
    house.run(keeper, "a", "grep SigIgn /proc/self/status")
    assert int(house.log("a").read_text().split()[1], 16) & OURS == 0


def test_folder_umask_nice_and_input_are_as_asked(house: House, tmp_path: Path) -> None:
    keeper = house.start()
    (tmp_path / "räum e").mkdir()
    end = house.run(
        keeper, "a", "pwd; umask; nice; cat; touch f", cwd=str(tmp_path / "räum e"), umask=0o027, nice=5, stdin="ein\nzwei"
    )
    assert exited(end["status"]) == 0
    assert house.log("a").read_text() == f"{tmp_path}/räum e\n0027\n5\nein\nzwei"
    assert stat.S_IMODE((tmp_path / "räum e" / "f").stat().st_mode) == 0o640


def may_rank() -> bool:
    """Whether we have CAP_SYS_NICE: bit 23 of capabilities(7)."""
    (held,) = re.findall(r"CapEff:\s*(\w+)", Path("/proc/self/status").read_text())
    return bool(int(held, 16) >> 23 & 1)


@pytest.mark.skipif(not may_rank() or os.nice(0) != 0, reason="it takes CAP_SYS_NICE to rank, and nobody may have ranked before")
def test_a_keeper_goes_before_its_commands_which_have_the_rank_that_there_was(house: House) -> None:
    keeper = house.start()
    house.spawn(keeper, "a", "sleep 60")
    pid = house.started(keeper, "a")["pid"]
    assert os.getpriority(os.PRIO_PROCESS, pid) == 0
    assert os.sched_getscheduler(pid) == os.SCHED_OTHER
    house.stop(keeper, "a", now=True)
    eventually(lambda: all(os.getpriority(os.PRIO_PROCESS, pid) == HIGHEST_PRIORITY for pid in (house.holder(), house.guard())))
    house.run(keeper, "b", "nice", nice=3)
    assert house.log("b").read_text() == "3\n"


def test_a_long_input_does_not_wait_for_its_reader(house: House) -> None:
    keeper = house.start()
    end = house.run(keeper, "a", "sleep 0.1; wc -c", stdin="x" * 1_000_000)
    assert exited(end["status"]) == 0
    assert house.log("a").read_text().strip() == "1000000"


def test_output_is_appended(house: House) -> None:
    keeper = house.start()
    house.log("a").write_text("before\n")
    house.run(keeper, "a", "echo after")
    assert house.log("a").read_text() == "before\nafter\n"


def test_a_program_without_slash_is_sought_in_its_own_path(house: House, tmp_path: Path) -> None:
    keeper = house.start()
    (tmp_path / "mine").write_text("#!/bin/sh\necho mine \"$1\"\n")
    (tmp_path / "mine").chmod(0o755)
    end = house.run(keeper, "a", ["mine", "x y"], env={"PATH": f"/nowhere:{tmp_path}:/bin"})
    assert exited(end["status"]) == 0
    assert house.log("a").read_text() == "mine x y\n"


@root_only
def test_another_user_is_complete_and_enters_the_folder_as_itself(house: House, tmp_path: Path) -> None:
    keeper = house.start()
    for folder in (tmp_path, *tmp_path.parents):
        if str(folder).startswith("/tmp/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    house.run(keeper, "a", "id -u; id -g; id -G", uid=12345, gid=23456, groups=[23456, 34567])
    assert house.log("a").read_text().split("\n")[:3] == ["12345", "23456", "23456 34567"]
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    end = house.run(keeper, "b", "true", uid=12345, gid=23456, groups=[], cwd=str(closed))
    assert (end["type"], end["stage"], end["errno"]) == ("failed", "cwd", 13)


def failures(tmp_path: Path) -> dict[str, tuple[dict[str, object], str, int]]:
    plain = tmp_path / "plain"
    plain.write_text("no program")
    return {
        "no folder": ({"cwd": "/no/such"}, "cwd", 2),
        "a file as folder": ({"cwd": str(plain)}, "cwd", 20),
        "no program": ({"argv": ["/no/such"]}, "exec", 2),
        "no program in the path": ({"argv": ["no-such-program"]}, "exec", 2),
        "not executable": ({"argv": [str(plain)]}, "exec", 13),
        "no log": ({"log": "/no/such/log"}, "log", 2),
        "a number too long": ({"argv": ["/bin/echo", "x" * 200_000]}, "exec", 7),
    }


@pytest.mark.parametrize("case", failures(Path("/")))
def test_a_command_that_cannot_start_is_told_with_its_stage(house: House, tmp_path: Path, case: str) -> None:
    keeper = house.start()
    change, stage, number = failures(tmp_path)[case]
    end = house.run(keeper, "a", "true", **change)
    assert (end["type"], end["stage"], end["errno"]) == ("failed", stage, number)
    keeper.send({"type": "list"})
    entry = house.wait(keeper, lambda m: m["type"] == "list")["attempts"][0]
    assert (entry["state"], entry["stage"], entry["errno"]) == ("failed", stage, number)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may become anybody")
def test_becoming_another_user_is_refused_by_the_kernel(house: House) -> None:
    end = house.run(house.start(), "a", "true", uid=0, gid=0, groups=[])
    assert (end["type"], end["stage"]) == ("failed", "user")


def test_an_id_starts_once(house: House, tmp_path: Path) -> None:
    keeper = house.start()
    for _ in range(5):
        house.spawn(keeper, "a", f"echo x >> {tmp_path}/count; sleep 0.3")
    pids = {house.wait(keeper, lambda m: m["type"] == "started")["pid"]}
    house.final(keeper, "a")
    house.spawn(keeper, "a", f"echo x >> {tmp_path}/count")
    again = house.wait(keeper, lambda m: m["type"] == "ended")
    pids |= {m["pid"] for m in house.said if m["type"] == "started"}
    house.acknowledge(keeper, "a")
    house.spawn(keeper, "a", f"echo x >> {tmp_path}/count")
    assert house.wait(keeper, lambda m: m["type"] == "refused")["why"] == "acknowledged"
    assert exited(again["status"]) == 0
    assert len(pids) == 1
    assert (tmp_path / "count").read_text() == "x\n"


@pytest.fixture
def stuck_program(tmp_path: Path) -> Iterator[str]:
    """A program that cannot be opened for as long as the test lasts, as on a mount that hangs: somebody has a lease on it
    (fcntl(2), F_SETLEASE) and does not give way."""
    path = tmp_path / "program"
    shutil.copy("/bin/true", path)
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    fd = os.open(path, os.O_RDWR)
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        yield str(path)
    finally:
        os.close(fd)
        signal.signal(signal.SIGIO, before)


def test_one_start_that_hangs_holds_up_no_other(house: House, stuck_program: str) -> None:
    keeper = house.start()
    house.spawn(keeper, "stuck", [stuck_program], timeout=None)
    pid = house.started(keeper, "stuck")["pid"]
    for number in range(20):
        assert exited(house.run(keeper, f"free{number}", "true")["status"]) == 0
    eventually(lambda: os.readlink(f"/proc/{pid}/exe") == os.readlink(f"/proc/{house.holder()}/exe"))
    assert not any(m.get("id") == "stuck" and m["type"] != "started" for m in house.said)
    house.stop(keeper, "stuck")
    assert house.final(keeper, "stuck")["status"] == signal.SIGTERM
    assert tree.look(pid) is None


def test_a_start_that_hangs_meets_its_timeout(house: House, stuck_program: str) -> None:
    keeper = house.start()
    end = house.run(keeper, "stuck", [stuck_program], timeout=0.2, kill_after=5)
    assert end["stopped"] == "timeout"
    assert end["status"] == signal.SIGTERM


def test_a_pipe_in_the_place_of_a_log_is_not_waited_for(house: House, tmp_path: Path) -> None:
    keeper = house.start()
    os.mkfifo(tmp_path / "pipe")
    end = house.run(keeper, "a", "echo never", log=str(tmp_path / "pipe"))
    assert (end["type"], end["stage"], end["errno"]) == ("failed", "log", errno.ENXIO)
    assert exited(house.run(keeper, "b", "true")["status"]) == 0
