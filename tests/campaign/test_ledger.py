"""The ledger notices what it is there for."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from cronflow.core.jobs import Edge, Job, definition
from cronflow.store.store import Store
from tests.campaign.ledger import Account, Written, in_order
from tests.daemon.live import Live

DONE = ["start 1/load/1 7", "end 1/load/1 0", "start 1/load/check1 8", "end 1/load/check1 0"]


@pytest.mark.parametrize(
    ("lines", "orders"),
    [
        ([*DONE, "start 1/report/1 9"], 0),
        ([*DONE, "start 1/report[eu]/1 9"], 0),
        (["start 1/report/1 9", *DONE], 1),
        ([DONE[0], "start 1/report[eu]/1 9", *DONE[1:]], 1),
        ([*DONE[:3], "start 1/report/only_if1 9", DONE[3]], 1),
        ([*DONE, "start 1/report/1 9", "start 1/load/2 9"], 1),
    ],
)
def test_what_begins_before_what_it_comes_after(tmp_path: Path, lines: list[str], orders: int) -> None:
    live = Live(tmp_path)
    live.state.mkdir()
    jobs = {"load": Job("load", "true"), "report": Job("report", "true", after=(Edge("load"),))}
    digest, body = definition(jobs)
    with closing(Store.open(live.state).connection) as db:
        db.execute("INSERT INTO definitions VALUES (?, 'load', ?)", (digest, body))
        columns = "id, flow, trigger, definition, state, created_at, finished_at"
        db.execute(f"INSERT INTO runs ({columns}) VALUES (1, 'load', 'manual', ?, 'success', 1, 2)", (digest,))
        record = tmp_path / "record"
        record.write_text("\n".join(lines) + "\n")
        account = Account()
        in_order(live, Written.read(record), account)
    assert account.count("order") == orders, account.text()
