"""The process table, read while processes are born and end."""
from __future__ import annotations

import os
import subprocess
import sys

import pytest

from cronflow.keeper import tree

FORKS = """
import os, sys, time
sys.stdin.readline()
child = os.fork()
if child:
    print(child, flush=True)
    os._exit(0)
time.sleep(60)
"""


def test_the_child_of_one_that_ends_between_the_listing_and_the_look_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    parent = subprocess.Popen([sys.executable, "-c", FORKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert parent.stdin is not None
    assert parent.stdout is not None
    children: list[int] = []
    listed = os.listdir

    def slow_listing(folder: str) -> list[str]:
        names = listed(folder)
        if not children:
            print(file=parent.stdin, flush=True)
            children.append(int(parent.stdout.readline()))  # type: ignore[union-attr]
            parent.wait()
        return names

    monkeypatch.setattr(os, "listdir", slow_listing)
    try:
        found = tree.table()
        assert parent.pid not in found
        assert found[children[0]].pid == children[0]
    finally:
        os.kill(children[0], 9)
        parent.stdout.close()
        parent.stdin.close()
