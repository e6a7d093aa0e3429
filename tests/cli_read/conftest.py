"""The history that most tests of these commands look at, and the real command on it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cronflow.cli.invocation import Invocation, Terminal
from cronflow.core.effects import Effects
from cronflow.core.records import Health
from tests.cli_read.tale import Ending, Tale, at, environ

SHOP = """
timezone = "Europe/Berlin"

[jobs.backup-db]
description = "Dump the shop"
schedule = "30 2 * * *"
retries = 2
retry_delay = "30s"
timeout = "2h"
owner = "data-team"
command = "pg_dump shop"

[jobs.upload]
after = ["backup-db"]
command = "upload"

[jobs.verify]
after = ["backup-db"]
command = "verify"

[jobs.report]
after = ["upload", "verify"]
command = "report"

[jobs.alarm]
after = { backup-db = "failure" }
command = "alarm"

[jobs.reindex]
schedule = "40 8 * * *"
command = "reindex"

[jobs.sync]
every = "15m"
command = "sync"

[jobs.sync-legacy]
schedule = "0 * * * *"
command = "legacy"

[jobs.by-hand]
command = "x"

[jobs.old]
schedule = "0 0 * * *"
enabled = false
command = "x"
"""
NOW = "Thu 08:52"


def build_shop(folder: Path) -> Tale:
    """Four days: a backup that begins to fail on Tuesday, a pause, a downtime on Wednesday, a job that runs too long."""
    good, bad = (
        Ending(358, 0, output="dumped\n"),
        Ending(4, 1, output="pg_dump: connecting\npg_dump: error: connection refused\n"),
    )
    script = {
        "backup-db": [good, bad],
        "reindex": [Ending(240), Ending(235), Ending(250), Ending(99999)],
        "sync": [Ending(20, output="one\ntwo\nthree\n")],
    }
    tale = Tale(folder, SHOP, script)
    tale.store.save(Effects.saving(Health("reindex", durations=(240.0,) * 9)))
    tale.start("Mon 00:12").until("Tue 16:20")
    words = "cronflow pause sync-legacy --for 3d --reason 'vendor migration'"
    tale.act("Pause", jobs=("sync-legacy",), until=at("Fri 18:00"), reason="vendor migration", words=words)
    tale.until("Wed 03:02").start("Wed 05:20", alive="Wed 03:02").until("Thu 08:40:30")
    tale.act("Run", jobs=("by-hand",), words="cronflow run by-hand").until(NOW)
    tale.trouble("config", "config", "jobs.toml:14: unknown key `timout` in job `backup`")
    return tale.alert("Thu 02:31", "HTTP 503").close()


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Tale:
    return build_shop(tmp_path_factory.mktemp("shop") / "shop")


Screen = Callable[..., str]


@pytest.fixture
def screen(capsys: pytest.CaptureFixture[str]) -> Screen:
    """What a verb prints in this process, by the clock of the tale, on a terminal of a width (None: a pipe)."""

    def call(
        tale: Tale, verb: Callable[..., Any], *arguments: Any, width: int | None = 100, now: str = NOW, **options: Any
    ) -> str:
        terminal = Terminal(width is not None, width, unicode=options.pop("unicode", True))
        invocation = Invocation(tale.places, terminal=terminal, now=at(now))
        verb(invocation, *arguments, **options)
        return capsys.readouterr().out

    return call


class Result:
    """What a command left behind."""

    def __init__(self, done: subprocess.CompletedProcess[bytes]) -> None:
        self.status = done.returncode
        self.raw = done.stdout
        self.out = done.stdout.decode(errors="replace")
        self.err = done.stderr.decode(errors="replace")

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found


def cronflow(tale: Tale, *arguments: str, **env: str) -> Result:
    """The real command in a process of its own, with pipes."""
    command = [sys.executable, "-m", "cronflow.cli.main", *arguments]
    done = subprocess.run(command, capture_output=True, env=environ(tale, **env), timeout=60, check=False)
    return Result(done)
