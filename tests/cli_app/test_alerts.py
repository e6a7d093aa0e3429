"""`cronflow alerts`: a test message through the real sender to a service on loopback, and the list of what was sent."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from cronflow.core.effects import Effects
from cronflow.core.records import Alert
from cronflow.store import outbox
from cronflow.store.store import Store
from tests.cli_app.conftest import Cli


class Service:
    """Takes alerts over HTTP; under `/broken` it answers 500."""

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        taken = self.taken

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                broken = self.path.startswith("/broken")
                if not broken:
                    taken.append(json.loads(body))
                self.send_response(500 if broken else 200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def service() -> Iterator[Service]:
    one = Service()
    yield one
    one.server.shutdown()
    one.server.server_close()


def targets(cli: Cli, port: int) -> None:
    cli.file.write_text(f"""
[alerts.ops]
urls = ["json://127.0.0.1:{port}/fine"]
[alerts.broken]
url_file = "broken.url"
[alerts.elsewhere]
url_env = "NOT_SET_HERE"
""")
    (cli.folder / "broken.url").write_text(f"# the token is a secret\njson://127.0.0.1:{port}/broken?+X-Token=s3cr3t\n")


def test_a_test_message_arrives(cli: Cli, service: Service) -> None:
    targets(cli, service.port)
    answer = cli("alerts", "test", "ops")
    assert (answer.status, answer.out, answer.err) == (0, "✓ ops  sent\n", "")
    (message,) = service.taken
    assert message["title"].startswith("TEST ops on ")
    assert "`[alerts.ops]`" in message["message"]


def test_each_target_is_told_apart_and_no_url_is_shown(cli: Cli, service: Service) -> None:
    targets(cli, service.port)
    answer = cli("alerts", "test", "--all")
    assert answer.status == 1
    first, second, third = answer.out.splitlines()
    assert first == "✓ ops  sent"
    assert second.startswith("✗ broken  not sent: ")
    assert "500" in second
    assert third.startswith("✗ elsewhere  not sent: ")
    assert "`NOT_SET_HERE` is not set" in third
    assert "s3cr3t" not in answer.out + answer.err
    assert str(service.port) not in answer.out + answer.err
    told = cli("alerts", "test", "--json", "broken", "ops")
    assert told.status == 1
    assert told.json["ok"] is False
    assert [(one["target"], one["ok"]) for one in told.json["alerts"]] == [("broken", False), ("ops", True)]
    assert told.json["alerts"][1]["error"] is None


def test_signs_are_ascii_where_the_locale_is(cli: Cli, service: Service) -> None:
    targets(cli, service.port)
    assert cli("alerts", "test", "ops", LC_ALL="C").out == "+ ops  sent\n"


def test_targets_that_are_none_are_said(cli: Cli, service: Service) -> None:
    none = cli("alerts", "test")
    assert none.status == 1
    assert none.err.startswith(f"error: `{cli.file}` has no alert target\n")
    targets(cli, service.port)
    unknown = cli("alerts", "test", "opps")
    assert unknown.status == 4
    assert unknown.err == "error: no alert target `opps`\n  = hint: did you mean `ops`?\n"
    assert cli("alerts", "test", "ops", "--all").status == 2
    assert service.taken == []


def test_the_list_tells_what_became_of_each(cli: Cli) -> None:
    assert cli("alerts", "list").err == "no alert yet\n"
    at = 1_770_000_000.0
    store = Store.open(cli.state)
    effects = Effects.saving(
        Alert(at, "failure", "ops", "load", 12, "load", {}),
        Alert(at + 60, "config", "ops"),
        Alert(at + 120, "recovery", "mail", "load", 13, "load", {}),
        Alert(at + 180, "missed", "mail", None, None, None, {}),
    )
    store.save(effects)
    outbox.note_try(store.connection, 1, at + 1, None, None)
    outbox.note_try(store.connection, 2, None, "json: connection refused", at + 91)
    outbox.note_try(store.connection, 2, None, "json: answered 500", at + 152)
    outbox.note_try(store.connection, 3, None, "json: answered 500", at + 152)
    outbox.note_try(store.connection, 3, at + 1000, None, None)
    store.close()
    answer = cli("alerts", "list")
    assert (answer.status, answer.err) == (0, "")
    assert answer.out.splitlines() == [
        "2026-02-02T03:43:00+01:00  missed    -        mail  waiting",
        "2026-02-02T03:42:00+01:00  recovery  13/load  mail  sent 2026-02-02T03:56:40+01:00, after 2 tries",
        "2026-02-02T03:41:00+01:00  config    -        ops   "
        "waiting, tried 2 times, next at 2026-02-02T03:42:32+01:00, json: answered 500",
        "2026-02-02T03:40:00+01:00  failure   12/load  ops   sent",
    ]
    assert len(cli("alerts", "list", "-n", "2").out.splitlines()) == 2
    told = cli("alerts", "list", "--json").json["alerts"]
    assert [one["id"] for one in told] == [4, 3, 2, 1]
    times = {"at", "sent_at", "given_up_at", "next_try_at"}
    assert set(told[0]) == {"id", "kind", "target", "job", "run", "task", "tries", "error", *times}
    assert told[2]["error"] == "json: answered 500"
    assert told[3]["sent_at"] == "2026-02-02T03:40:01+01:00"
    assert told[3]["next_try_at"] is None
