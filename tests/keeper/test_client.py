"""The life of a keeper as its daemon sees it."""
from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cronflow.keeper import client, tree

from .conftest import House, eventually, exited, is_alive


def test_a_keeper_is_nobodys_child_and_in_a_session_of_its_own(house: House) -> None:
    house.start()
    guard, holder = tree.look(house.guard()), tree.look(house.holder())
    assert guard is not None
    assert holder is not None
    assert guard.parent != os.getpid()
    assert holder.parent == guard.pid
    assert guard.session == holder.session == guard.pid
    for pid in (guard.pid, holder.pid):
        assert os.readlink(f"/proc/{pid}/cwd") == "/"
        assert [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in (0, 1)] == ["/dev/null"] * 2


def test_it_goes_when_it_holds_nothing_and_nobody_is_there(house: House) -> None:
    keeper = house.start()
    guard, holder = house.guard(), house.holder()
    house.run(keeper, "a", "exit 5")
    time.sleep(0.2)
    assert is_alive(holder)
    keeper.close()
    eventually(lambda: not is_alive(guard) and not is_alive(holder))
    assert client.living(str(house.folder)) == []
    assert client.connect(str(house.folder), 1, 2) is None
    entry = house.journal(1)[0]
    assert (entry["id"], entry["state"], exited(entry["status"])) == ("a", "ended", 5)
    client.forget(str(house.folder), 1)
    assert client.generations(str(house.folder)) == []


def test_it_stays_while_a_command_runs_and_keeps_its_end(house: House) -> None:
    keeper = house.start()
    house.spawn(keeper, "a", "sleep 0.7; exit 6")
    house.started(keeper, "a")
    keeper.close()
    time.sleep(0.2)
    assert client.living(str(house.folder)) == [1]
    with pytest.raises(client.KeeperError, match="its keeper lives"):
        client.read_journal(str(house.folder), 1)
    eventually(lambda: client.living(str(house.folder)) == [])
    assert exited(house.journal(1)[0]["status"]) == 6


def test_what_asks_it_to_leave_is_heard_only_when_it_holds_nothing(house: House) -> None:
    keeper = house.start()
    house.spawn(keeper, "a", "sleep 0.5; exit 2")
    house.started(keeper, "a")
    guard, holder = house.guard(), house.holder()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(guard, number)
        os.kill(holder, number)
    assert exited(house.final(keeper, "a")["status"]) == 2
    os.kill(guard, signal.SIGTERM)
    time.sleep(0.1)
    assert is_alive(guard)
    os.kill(holder, signal.SIGTERM)
    eventually(lambda: not is_alive(guard) and not is_alive(holder))


def test_generations_live_side_by_side(house: House) -> None:
    first = house.start(3)
    house.spawn(first, "a", "sleep 600")
    house.started(first, "a")
    second = house.start(12)
    assert client.living(str(house.folder)) == [3, 12]
    old = house.connect(3, 12)
    house.stop(old, "a")
    house.final(old, "a")
    house.acknowledge(old, "a")
    eventually(lambda: client.living(str(house.folder)) == [12])
    assert house.run(second, "b", "true")["status"] == 0


def test_a_second_keeper_of_a_generation_is_refused(house: House) -> None:
    house.start()
    with pytest.raises(client.KeeperError, match="alive"):
        client.start_keeper(str(house.folder), 1)
    with pytest.raises(client.KeeperError, match="No such file or directory"):
        client.start_keeper(str(house.folder / "none"), 1)


def test_the_journal_of_an_ended_keeper_is_never_overwritten(house: House) -> None:
    keeper = house.start()
    house.run(keeper, "a", "exit 5")
    keeper.close()
    eventually(lambda: client.living(str(house.folder)) == [])
    with pytest.raises(client.KeeperError, match="has ended"):
        client.start_keeper(str(house.folder), 1)
    assert len(house.journal(1)) == 1


def test_a_folder_with_a_long_path_and_one_for_sockets(house: House, tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120) / ("y" * 120)
    sockets = tmp_path / ("s" * 120)
    folder.mkdir(parents=True)
    sockets.mkdir()
    connection = client.start_keeper(str(folder), 7, str(sockets))
    house.hello(connection)
    assert house.run(connection, "a", "true")["status"] == 0
    assert [entry.name for entry in sockets.iterdir()] == ["7.sock"]
    assert (sockets / "7.sock").stat().st_mode & 0o077 == 0
    connection.close()
    eventually(lambda: client.living(str(folder)) == [])
    assert list(sockets.iterdir()) == []


def test_a_keeper_that_cannot_take_its_name_away_ends_in_peace(house: House) -> None:
    keeper = house.start()
    house.run(keeper, "a", "true")
    (house.folder / "1.sock").unlink()
    (house.folder / "1.sock").mkdir()
    keeper.close()
    eventually(lambda: client.living(str(house.folder)) == [])
    assert (house.folder / "keeper.log").read_text() == ""
    (house.folder / "1.sock").rmdir()


def test_it_does_not_keep_its_callers_variables(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CRONFLOW_ID", "NOTIFY_SOCKET", "LISTEN_FDS", "WATCHDOG_USEC"):
        monkeypatch.setenv(name, "x")
    house.start()
    for pid in (house.guard(), house.holder()):
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        assert not re.search(rb"(^|\0)(CRONFLOW_|NOTIFY_SOCKET|LISTEN_|WATCHDOG_)", environment)


def test_it_survives_the_death_of_its_daemon(house: House) -> None:
    program = (
        f"import sys,os; sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
        "from cronflow.keeper import client\n"
        f"c = client.start_keeper({str(house.folder)!r}, 1)\n"
        f"c.send({house.request('a', 'sleep 0.5; exit 8')!r})\n"
        "while not any(m['type'] == 'started' for m in c.receive(10)): pass\n"
        "os.kill(os.getpid(), 9)\n"
    )
    dead = subprocess.run([sys.executable, "-c", program], timeout=60)
    assert dead.returncode == -9
    keeper = house.connect(1, 2)
    assert [entry["state"] for entry in house.answer["attempts"]] == ["running"]
    assert exited(house.final(keeper, "a")["status"]) == 8


def test_a_client_that_does_not_read_holds_up_nobody(house: House) -> None:
    keeper = house.start()
    for number in range(300):
        house.spawn(keeper, f"{number}", "true")
    eventually(lambda: keeper.flush() or not keeper.wants_write)
    time.sleep(0.5)
    other = house.connect(1, 1)
    for entry in house.answer["attempts"]:
        house.final(other, entry["id"]) if entry["state"] == "running" else None
    assert house.run(other, "last", "true")["status"] == 0


def switches(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return sum(int(line.split()[1]) for line in status.splitlines() if "ctxt_switches" in line)


def test_it_sleeps_while_nothing_happens(house: House) -> None:
    keeper = house.start()
    house.spawn(keeper, "a", "echo x; sleep 600", max_output=1000, timeout=300)
    house.started(keeper, "a")
    eventually(house.log("a").exists)
    time.sleep(0.7)
    before = [switches(pid) for pid in (house.guard(), house.holder())]
    time.sleep(1.5)
    assert [switches(pid) for pid in (house.guard(), house.holder())] == before
    house.stop(keeper, "a")
    house.final(keeper, "a")


def test_both_processes_are_small(house: House) -> None:
    keeper = house.start()
    for number in range(50):
        house.run(keeper, f"{number}", "true", max_output=1000)
        house.acknowledge(keeper, f"{number}")
    total = 0
    for pid in (house.guard(), house.holder()):
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        total += int(re.search(r"^Pss:\s+(\d+) kB", rollup, re.M)[1])  # type: ignore[index]
    assert total <= 25_000
