"""The screens, to the letter: `golden/NAME.txt`. `CRONFLOW_GOLDEN=write` writes them anew; then read the difference."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cronflow.cli.verbs.graph import Format, graph
from cronflow.cli.verbs.logs import logs
from cronflow.cli.verbs.next import next_slots
from cronflow.cli.verbs.runs import runs
from cronflow.cli.verbs.status import status
from cronflow.cli.verbs.why import why
from tests.cli_read.conftest import Screen
from tests.cli_read.tale import Tale

FILE = "/etc/cronflow/jobs.toml"
GOLDEN = Path(__file__).parent / "golden"

CASES: dict[str, tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = {
    "status": (status, (), {}),
    "status-60": (status, (), {"width": 60}),
    "status-pipe": (status, (), {"width": None}),
    "status-ascii": (status, (), {"unicode": False}),
    "status-job": (status, ("backup-db",), {}),
    "status-job-60": (status, ("backup-db",), {"width": 60}),
    "status-job-paused": (status, ("sync-legacy",), {}),
    "status-job-dependent": (status, ("report",), {}),
    "status-job-disabled": (status, ("old",), {}),
    "status-run": (status, ("338",), {}),
    "status-run-pipe": (status, ("338",), {"width": None}),
    "status-row": (status, ("251",), {}),
    "runs": (runs, (), {"number": 6}),
    "runs-pipe": (runs, (), {"number": 6, "width": None}),
    "runs-job": (runs, ("backup-db",), {}),
    "runs-job-60": (runs, ("backup-db",), {"width": 60}),
    "runs-paused": (runs, ("sync-legacy",), {"number": 3}),
    "runs-failed-missed": (runs, (), {"state": ["failed", "missed"]}),
    "next": (next_slots, (), {"number": 6}),
    "next-60": (next_slots, (), {"number": 6, "width": 60}),
    "next-pipe": (next_slots, (), {"number": 3, "width": None}),
    "next-dependent": (next_slots, (["report"],), {"number": 2}),
    "graph": (graph, (), {}),
    "graph-dot": (graph, ("alarm",), {"form": Format.dot}),
    "graph-mermaid": (graph, ("alarm",), {"form": Format.mermaid}),
    "why-failed": (why, ("backup-db",), {}),
    "why-failed-60": (why, ("backup-db",), {"width": 60}),
    "why-blocked": (why, ("report",), {}),
    "why-failure-branch": (why, ("alarm",), {}),
    "why-running": (why, ("reindex",), {}),
    "why-succeeded": (why, ("sync",), {}),
    "why-paused": (why, ("sync-legacy",), {}),
    "why-by-hand": (why, ("by-hand",), {}),
    "why-disabled": (why, ("old",), {}),
    "why-run": (why, ("338",), {}),
    "why-missed": (why, ("sync",), {"at": "wed 04:00"}),
    "why-not-due": (why, ("sync",), {"at": "wed 08:07"}),
    "why-to-come": (why, ("backup-db",), {"at": "tomorrow 02:30"}),
    "logs-job": (logs, ("backup-db",), {}),
    "logs-run": (logs, ("338",), {"lines": 1}),
    "logs-last": (logs, (), {}),
}


@pytest.mark.parametrize("name", CASES)
def test_screen(name: str, shop: Tale, screen: Screen) -> None:
    verb, arguments, options = CASES[name]
    text = screen(shop, verb, *arguments, **options)
    if name.startswith("status") and verb is status and not arguments:
        head, rest = text.split("\n\n", 1)
        text = (
            " ".join(head.replace(str(shop.file), FILE).split()) + "\n\n" + rest
        )  # how it folds depends on the length of the path
        text = re.sub(r"/\S*…", FILE, text, count=1)
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("CRONFLOW_GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("name", [name for name in CASES if name.endswith("-60")])
def test_no_line_of_a_narrow_screen_is_wider_than_the_terminal(name: str, shop: Tale, screen: Screen) -> None:
    verb, arguments, options = CASES[name]
    text = screen(shop, verb, *arguments, **options).replace(str(shop.file), "")
    assert [line for line in text.splitlines() if len(line) > 60] == []
