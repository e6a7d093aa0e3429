"""What arrives at real services: mail over SMTP, chat webhooks, and services that take little text."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import cronflow
from cronflow.alerts.sender import Sender
from cronflow.alerts.text import text
from cronflow.alerts.worker import fitted

from .cases import FAILURE, HOST, ZONE

TITLE, BODY = text("failure", FAILURE, HOST, ZONE)
MARKUP = "a & b < c > d *bold* _under_ ~x~ `tick` [x](y) <!channel> <@U6TTX1F9R>\n    indented\n# no heading\n- no list"


@pytest.fixture
def sender() -> Iterator[Sender]:
    box = Sender()
    yield box
    box.close()


def test_a_mail_has_the_title_as_subject_and_the_body_as_plain_text(sender: Sender, mail: Any, wait: Any) -> None:
    sender.submit(1, [mail.url()], TITLE, BODY)
    sent = wait(sender)[1]
    assert sent.ok, sent.error
    (message,) = mail.mails
    assert message["Subject"] == TITLE
    assert message["To"] == "ops@example.org"
    assert message.get_content_type() == "text/plain"
    assert message.get_content().replace("\r\n", "\n").rstrip("\n") == BODY


def test_markup_and_other_alphabets_reach_a_mail_as_they_are(sender: Sender, mail: Any, wait: Any) -> None:
    sender.submit(1, [mail.url()], "FAILED prüfung × on db1", MARKUP + "\nГотово …")
    assert wait(sender)[1].ok
    (message,) = mail.mails
    assert message["Subject"] == "FAILED prüfung × on db1"
    assert message.get_content().replace("\r\n", "\n").rstrip("\n") == MARKUP + "\nГотово …"


def test_a_mail_server_that_refuses_is_an_alert_not_sent(sender: Sender, mail: Any, wait: Any) -> None:
    mail.refuse = "554 transaction of ops@example.org failed"
    sender.submit(1, [mail.url()], TITLE, BODY)
    sent = wait(sender)[1]
    assert (sent.ok, sent.error) == (False, "mailto: mail refused")
    assert mail.mails == []


def test_no_mail_server_is_an_alert_not_sent(sender: Sender, wait: Any, refused_port: int) -> None:
    sender.submit(1, [f"mailto://127.0.0.1:{refused_port}?from=a@example.org&to=b@example.org"], TITLE, BODY)
    sent = wait(sender)[1]
    assert (sent.ok, sent.error) == (False, "mailto: connection refused")


def test_a_chat_webhook_gets_title_and_body(sender: Sender, web: Any, wait: Any) -> None:
    token = "3ccdd113474722377935511fc85d3dd4"
    sender.submit(1, [f"mmost://127.0.0.1:{web.port}/{token}"], TITLE, BODY)
    sent = wait(sender)[1]
    assert sent.ok, sent.error
    (message,) = web.arrived
    assert web.paths == [f"/hooks/{token}"]
    assert TITLE in message["text"]
    assert message["text"].endswith(BODY)


def test_output_does_not_call_everybody_in_a_chat(sender: Sender, web: Any, wait: Any) -> None:
    url = f"mmost://127.0.0.1:{web.port}/3ccdd113474722377935511fc85d3dd4"
    sender.submit(1, [url], TITLE, "mail to root@here.example, @channel, @Everyone!\n\n@all @allison")
    assert wait(sender)[1].ok
    (message,) = web.arrived
    calm = "mail to root@\u200bhere.example, @\u200bchannel, @\u200bEveryone!\n\n@\u200ball @allison"
    assert message["text"].endswith(calm)


# slack:// knows no other host than Slack's own: the worker runs with the address of that service changed
_SLACK = """
import sys
sys.path.insert(0, sys.argv[1])
import apprise
from apprise.plugins.slack import NotifySlack
NotifySlack.webhook_url = sys.argv[2]
from cronflow.alerts.worker import main
main()
"""


def test_slack_gets_plain_text_with_only_its_three_characters_escaped(web: Any) -> None:
    order = {
        "urls": ["slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"],
        "title": TITLE,
        "body": f"{BODY}\n{MARKUP}",
        "kind": "failure",
    }
    program = [sys.executable, "-I", "-c", _SLACK]
    arguments = [str(Path(cronflow.__file__).parents[1]), f"http://127.0.0.1:{web.port}/services"]
    done = subprocess.run([*program, *arguments], input=json.dumps(order), capture_output=True, text=True, timeout=60)
    assert json.loads(done.stdout)["ok"], done.stdout
    (message,) = web.arrived
    assert message["mrkdwn"] is False
    (shown,) = message["attachments"]
    escaped = f"{BODY}\n{MARKUP}".replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert shown["title"] == TITLE
    assert shown["text"] == escaped
    assert "http" not in json.dumps({key: value for key, value in message.items() if key != "attachments"})


def test_the_worker_says_one_line_and_nothing_else(web: Any, refused_port: int) -> None:
    program = "import sys; sys.path.insert(0, sys.argv[1]); from cronflow.alerts.worker import main; main()"
    order = {
        "urls": [web.url(), f"json://user:pass@127.0.0.1:{refused_port}/T0KEN"],
        "title": "t",
        "body": "b",
        "kind": "test",
    }
    done = subprocess.run(
        [sys.executable, "-I", "-c", program, str(Path(cronflow.__file__).parents[1])],
        input=json.dumps(order),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 1
    assert json.loads(done.stdout) == {"ok": False, "error": "json (2 of 2): connection refused", "delivered": [0]}


@pytest.mark.parametrize("order", ["", "[]", "{}", '{"urls": [1], "title": "t", "body": "b", "kind": "failure"}'])
def test_an_order_that_cannot_be_read_is_answered_too(order: str) -> None:
    program = "import sys; sys.path.insert(0, sys.argv[1]); from cronflow.alerts.worker import main; main()"
    done = subprocess.run(
        [sys.executable, "-I", "-c", program, str(Path(cronflow.__file__).parents[1])],
        input=order,
        capture_output=True,
        text=True,
        timeout=60,
    )
    answer = json.loads(done.stdout)
    assert answer["ok"] is False
    assert answer["error"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning:apprise")  # of its own imports
@pytest.mark.parametrize(
    ("url", "limit"),
    [
        ("pover://uuuuuuuuuuuuuuuuuuuuuuuuuuuuuu@aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 1024),
        ("discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js", 2000),
    ],
)
def test_where_a_service_is_short_the_cause_and_the_commands_stay(url: str, limit: int) -> None:
    import apprise

    facts = FAILURE | {"tail": [f"{number:02} {'x' * 150}" for number in range(20)] + ["the last line counts"]}
    title, body = text("failure", facts, HOST, ZONE)
    assert len(body) > 2000
    service = apprise.Apprise.instantiate(url)
    assert service is not None
    shown_title, shown = fitted(service, title, body, "failure")
    assert shown_title == title
    assert len(shown) <= limit
    assert shown.startswith(body.split("\n\n")[0])
    assert shown.endswith(body.split("\n\n")[-1])
    assert "the last line counts" in shown
    assert fitted(apprise.Apprise.instantiate(f"{url}?overflow=split"), title, body, "failure") == (title, body)
