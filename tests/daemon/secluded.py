"""Run by test_disk in a mount namespace of its own: a daemon whose state folder lies on a disk that fills up.

Usage: python -m tests.daemon.secluded full|restart|inodes|no_reserve|no_database. Prints one JSON object.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import sys
import time
from typing import Any

from tests.daemon.live import Live, job, living

libc = ctypes.CDLL(None, use_errno=True)


def mount(place: str, options: str) -> None:
    os.makedirs(place, exist_ok=True)
    if libc.mount(b"none", os.fsencode(place), b"tmpfs", 0, options.encode()) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), place)


def unmount(place: str) -> None:
    """Also where something is still open."""
    libc.umount2(os.fsencode(place), 2)


def fill(live: Live) -> None:
    """Take every byte that is left."""
    with open(live.state / "fill", "wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                pass


def jobs(live: Live) -> str:
    waiting = f"while [ ! -e {live.path('go')} ]; do sleep 0.05; done; exit 5"
    text = job("tick", "true", schedule="* * * * * *", overlap="queue")
    return text + job("a", "exit 3") + job("wait", waiting) + job("flood", "yes | head -c 3000000; exit 7")


def told(live: Live) -> list[str]:
    return [key for (key,) in live.rows("SELECT key FROM troubles ORDER BY key")]


def summary(live: Live) -> dict[str, Any]:
    """What a full disk must not have changed: every slot in one row, every exit status, a sound database."""
    live.ask("stop", mode="drain")
    live.ended()
    rows = live.rows("SELECT slot, slots FROM runs WHERE flow = 'tick' ORDER BY slot")
    expected = rows[0][0]
    gaps = []
    for slot, count in rows:
        if slot != expected:
            gaps.append(slot)
        expected = slot + count
    return {
        "gaps": gaps,
        "integrity": live.rows("PRAGMA integrity_check"),
        "codes": live.rows("SELECT DISTINCT task, exit_code FROM attempts ORDER BY task"),
        "left": told(live),
        "defect": "defect" in live.log,
    }


def full(live: Live) -> dict[str, Any]:
    """The reserve of the database lets the schedule go on."""
    live.start(jobs(live))
    run = live.run("wait")
    live.started(run, "wait")
    fill(live)
    before = live.one("SELECT count(*) FROM run_slots")
    live.until(lambda: told(live) == ["disk"])
    live.until(lambda: live.one("SELECT count(*) FROM runs WHERE flow = 'tick' AND state = 'success'") >= before + 3)
    by_hand = live.final(live.run("a"))
    flood = live.final(live.run("flood"))
    live.path("go").touch()
    states = [by_hand, flood, live.final(run)]
    problems = [one["message"] for one in live.cli("status", "--json").json["problems"]]
    os.unlink(live.state / "fill")
    live.until(lambda: told(live) == [])
    return {"states": states, "problems": problems, **summary(live)}


def restart(live: Live) -> dict[str, Any]:
    """A daemon that starts on a full disk."""
    live.start(jobs(live))
    run = live.run("wait")
    live.started(run, "wait")
    live.terminate()
    fill(live)
    live.start()
    before = live.one("SELECT count(*) FROM run_slots")
    live.until(lambda: live.one("SELECT count(*) FROM runs WHERE flow = 'tick' AND state = 'success'") >= before + 2)
    live.path("go").touch()
    states = [live.final(run), live.final(live.run("a"))]
    os.unlink(live.state / "fill")
    live.until(lambda: told(live) == [])
    live.final(live.run("flood"))
    return {"states": states, **summary(live)}


def no_reserve(live: Live) -> dict[str, Any]:
    """Without any room for rows nothing is started, nothing is forgotten, and all of it is saved when there is room again."""
    live.start(jobs(live) + "".join(job(f"j{number}", "true") for number in range(20)) + '[alerts.ops]\nurls = ["json://[::1]:9"]\n')
    run = live.run("wait")
    live.started(run, "wait")
    fill(live)
    waiting = []
    for number in range(20):  # rows that need more room than there is; nobody is answered before they are saved
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(live.places.control))
        connection.sendall(json.dumps({"op": "pause", "jobs": [f"j{number}"], "reason": "x" * 900_000}).encode() + b"\n")
        waiting.append(connection)
    live.until(lambda: "nothing is started until it can" in live.log)
    live.path("go").touch()
    time.sleep(1.0)
    stuck = live.one("SELECT state FROM runs WHERE id = ?", run)
    alive = live.ask("ping")["ok"]
    problems = [one["message"] for one in live.cli("status", "--json").json["problems"]]
    os.unlink(live.state / "fill")
    state = live.final(run)
    live.until(lambda: "the database can be written again" in live.log)
    live.until(lambda: told(live) == [])
    for connection in waiting:
        assert json.loads(connection.makefile().readline())["ok"]
    alerts = live.rows("SELECT json_extract(facts, '$.message') FROM alerts WHERE kind = 'system' AND facts NOT LIKE '%arrive%'")
    return {"states": [stuck, state], "alive": alive, "problems": problems, "alerts": alerts, **summary(live)}


def no_database(live: Live) -> dict[str, Any]:
    """Neither a database nor room for another one: what goes on is kept in memory, and saved when there is room."""
    live.start(jobs(live))
    run = live.run("wait")
    live.started(run, "wait")
    (live.state / "ballast").unlink()
    fill(live)
    live.places.database.rename(live.state / "elsewhere")
    live.places.database.touch()
    live.until(lambda: "nothing is started until it can" in live.log)
    live.path("go").touch()
    time.sleep(1.0)
    alive = live.ask("ping")["ok"]
    screen = live.cli("status")
    os.unlink(live.state / "fill")
    live.until(lambda: "the database can be written again" in live.log)
    state = live.final(run)
    live.until(lambda: told(live) == ["database"])
    live.terminate()
    live.start()
    live.until(lambda: told(live) == [])
    said = screen.out + screen.err
    return {"states": [state], "alive": alive, "status": screen.status, "said": said, "log": live.log, **summary(live)}


def inodes(live: Live) -> dict[str, Any]:
    """Where no file can be made, commands run without a log."""
    live.start(jobs(live))
    made = 0
    try:
        while True:
            (live.state / f"file{made}").touch()
            made += 1
    except OSError:
        pass
    states = [live.final(live.run("a")), live.final(live.run("flood"))]
    live.until(lambda: told(live) == ["disk"])
    run = live.one("SELECT max(id) FROM runs")
    logs = live.cli("logs", str(run))
    live.path("go").touch()
    last = live.run("wait")
    states.append(live.final(last))
    for number in range(made):
        (live.state / f"file{number}").unlink()
    live.until(lambda: told(live) == [])
    return {"states": states, "logs": logs.status, "said": logs.out + logs.err, **summary(live)}


CASES = {
    "full": (full, "size=32m"),
    "restart": (restart, "size=32m"),
    "no_reserve": (no_reserve, "size=96m"),
    "no_database": (no_database, "size=32m"),
    "inodes": (inodes, "size=64m,nr_inodes=200"),
}

if __name__ == "__main__":
    case, options = CASES[sys.argv[1]]
    with living() as one:
        mount(str(one.state), options)
        try:
            result = case(one)
        finally:
            one.close()
            unmount(str(one.state))
    print(json.dumps(result))
