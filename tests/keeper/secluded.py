"""Run by test_secluded in a mount namespace of its own: a full disk, and a folder on a mount that does not answer.

Usage: secluded.py full|hung FOLDER. Prints one JSON object.
"""
from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from typing import Any

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from cronflow.keeper import client, journal

libc = ctypes.CDLL(None, use_errno=True)
ENV = {"PATH": "/usr/bin:/bin"}


def mount(kind: bytes, place: str, options: str) -> None:
    os.makedirs(place, exist_ok=True)
    if libc.mount(b"none", os.fsencode(place), kind, 0, options.encode()) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), place)


def spawn(connection: client.Connection, name: str, command: str, log: str, **more: Any) -> None:
    env = ENV | {"CRONFLOW_ID": name}
    connection.send({"type": "spawn", "id": name, "argv": ["/bin/sh", "-c", command], "env": env, "log": log, **more})


def gather(connection: client.Connection, enough: int) -> dict[str, dict[str, Any]]:
    """The last word about each attempt, once so many words are final."""
    said: dict[str, dict[str, Any]] = {}
    until = time.monotonic() + 20
    while sum(m["type"] != "started" for m in said.values()) < enough and time.monotonic() < until:
        for message in connection.receive(1):
            if message.get("id") is not None:
                said[message["id"]] = message
    return said


def full(folder: str) -> dict[str, Any]:
    """Fills the disk of a keeper while its commands run."""
    place = os.path.join(folder, "small")
    mount(b"tmpfs", place, "size=2m")
    connection = client.start_keeper(place, 1)
    for number in range(20):
        spawn(connection, f"before{number}", f"while [ ! -e {folder}/go ]; do sleep 0.02; done; exit {number}", f"{place}/log")
    connection.receive(5)
    time.sleep(0.2)
    with open(os.path.join(place, "fill"), "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    for number in range(100):
        spawn(connection, f"during{number}", "true", f"{place}/log")
    said = gather(connection, 100)
    open(os.path.join(folder, "go"), "w").close()
    said |= gather(connection, 20)
    kinds = [said[f"during{number}"] for number in range(100)]
    result = {
        "statuses": [said[f"before{number}"]["status"] >> 8 for number in range(20)],
        "ran": sum(m["type"] == "ended" for m in kinds),
        "refused": sorted({m["why"] for m in kinds if m["type"] == "refused"}),
    }
    for name in said:
        connection.acknowledge(name)
    connection.flush()
    spawn(connection, "after", "true", f"{place}/log")
    result["after"] = gather(connection, 1)["after"]["type"]
    fd = os.open(f"{place}/1.journal", os.O_RDONLY)
    result["journal"] = [r["id"] for p in range(1, 64) if (r := journal.read_page(fd, p)) is not None]
    connection.close()
    return result


def hung(folder: str) -> dict[str, Any]:
    """Starts a command in a folder whose file system never answers, and others beside it."""
    places = []
    for number in range(3):  # one for each: the second to wait in the same folder is not even to be killed
        places.append(os.path.join(folder, f"mount{number}"))
        fuse = os.open("/dev/fuse", os.O_RDWR)
        mount(b"fuse", places[-1], f"fd={fuse},rootmode=40000,user_id=0,group_id=0")
    connection = client.start_keeper(folder, 1)
    spawn(connection, "cwd", "echo never", f"{folder}/log", cwd=f"{places[0]}/there")
    spawn(connection, "exec", "echo never", f"{folder}/log", argv=[f"{places[1]}/program"])
    spawn(connection, "timed", "echo never", f"{folder}/log", cwd=f"{places[2]}/there", timeout=0.3, kill_after=0.3)
    for number in range(20):
        spawn(connection, f"free{number}", "true", f"{folder}/log")
    said = gather(connection, 21)
    connection.stop("cwd", now=True)
    connection.stop("exec", now=True)
    said |= gather(connection, 2)
    connection.close()
    return {name: message.get("status") for name, message in said.items()}


if __name__ == "__main__":
    print(json.dumps({"full": full, "hung": hung}[sys.argv[1]](sys.argv[2])))
