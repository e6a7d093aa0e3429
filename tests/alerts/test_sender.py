"""The sender and its worker processes against services that refuse, hang, drip, fail and come back."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from cronflow.alerts.sender import Sender, backoff


@pytest.fixture
def sender() -> Iterator[Sender]:
    box = Sender()
    yield box
    box.close()


def workers() -> list[psutil.Process]:
    """The live worker processes of this test process."""
    return [
        child
        for child in psutil.Process().children()
        if child.status() != psutil.STATUS_ZOMBIE and any("alerts.worker" in word for word in child.cmdline())
    ]


def started(number: int = 1) -> list[psutil.Process]:
    """The workers, as soon as there are `number` of them: a program that has just been started has no name yet."""
    end = time.monotonic() + 20
    while len(found := workers()) < number:
        assert time.monotonic() < end, f"{len(found)} workers instead of {number}"
        time.sleep(0.01)
    return found


def collect_the_ended(sender: Sender) -> None:
    end = time.monotonic() + 20
    while sender.deadline() is not None:
        assert time.monotonic() < end, "a worker whose answer is known has not ended"
        time.sleep(0.01)
        assert sender.collect(time.monotonic()) == []


def test_an_alert_arrives_with_its_title_and_body_as_they_are(sender: Sender, web: Any, wait: Any) -> None:
    body = "a & b < c > d *bold* _under_ `tick` [x](y)\n  indented\n\n\ttab \\n äöü × …"
    assert sender.submit(7, [web.url()], "FAILED load[eu] on db1", body)
    sent = wait(sender)[7]
    assert sent.ok, sent.error
    assert sent.error == ""
    assert (web.arrived[0]["title"], web.arrived[0]["message"]) == ("FAILED load[eu] on db1", body)
    assert web.arrived[0]["type"] == "failure"
    assert sender.fds() == []


def test_a_body_larger_than_a_pipe_neither_blocks_nor_loses_its_tail(sender: Sender, web: Any, wait: Any) -> None:
    assert sender.submit(1, [web.url()], "title", "head\n\n" + "line\n" * 600_000 + "last\n\ntail")
    assert wait(sender)[1].ok
    message = web.arrived[0]["message"]
    assert message.startswith("head\n\n…\nline\n")
    assert message.endswith("line\nlast\n\ntail")
    assert 32_000 < len(message) <= 32_768  # what apprise sends at most to this kind of service


def test_a_service_that_refuses_is_named_by_its_scheme_only(sender: Sender, wait: Any, refused_port: int) -> None:
    url = f"json://someone:s3cret@127.0.0.1:{refused_port}/hooks/T0KEN"
    sender.submit(1, [url], "title", "timed out\n\nerror=404 Socket Exception: authentication")
    sent = wait(sender)[1]
    assert (sent.ok, sent.error) == (False, "json: connection refused")


def test_a_service_that_answers_500_has_not_taken_the_alert(sender: Sender, web: Any, wait: Any) -> None:
    web.answer = 500
    sender.submit(1, [web.url()], "title", "body")
    sent = wait(sender)[1]
    assert (sent.ok, sent.error) == (False, "json: answered 500")


def test_a_service_that_takes_the_connection_and_stays_silent(sender: Sender, web: Any, wait: Any) -> None:
    web.answer = "hang"
    sender.submit(1, [web.url(query="?rto=1")], "title", "body")
    sent = wait(sender)[1]
    assert (sent.ok, sent.error) == (False, "json: no answer in time")


@pytest.mark.parametrize("answer", ["hang", "drip"])
def test_no_service_holds_a_worker_beyond_its_limit(web: Any, wait: Any, answer: str) -> None:
    web.answer = answer
    sender = Sender(seconds=3)
    sender.submit(1, [web.url(query="?rto=600")], "title", "body")
    sent = wait(sender)[1]
    assert (sent.ok, sent.error.split(": ")[1]) == (False, "no answer within 3 s")
    sender.close()
    assert workers() == []


def test_a_worker_that_does_not_keep_its_limit_is_killed(web: Any, wait: Any) -> None:
    sender = Sender(seconds=1, grace=1)
    sender.submit(1, [web.url()], "title", "body")
    os.kill(started()[0].pid, signal.SIGSTOP)
    sent = wait(sender)[1]
    assert (sent.ok, sent.error) == (False, "no answer within 1 s")
    collect_the_ended(sender)
    assert workers() == []


def test_a_worker_that_is_killed_is_an_alert_not_sent(sender: Sender, web: Any, wait: Any) -> None:
    web.answer = "hang"
    sender.submit(1, [web.url()], "title", "body")
    started()[0].kill()
    sent = wait(sender)[1]
    assert not sent.ok
    assert sent.error.startswith("the sender ")
    assert sent.error.endswith("without an answer")


def test_a_worker_that_cannot_be_started_is_an_alert_not_sent(sender: Sender, wait: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/no/such/python")
    assert sender.submit(1, ["json://127.0.0.1"], "title", "body")
    sent = wait(sender)[1]
    assert (sent.ok, sent.error) == (False, "the sender cannot be started: No such file or directory")


def test_a_service_that_comes_back_gets_the_alert_once(sender: Sender, web: Any, wait: Any) -> None:
    web.answer = 503
    sender.submit(1, [web.url()], "title", "body")
    assert not wait(sender)[1].ok
    web.answer = 204
    sender.submit(1, [web.url()], "title", "body")
    assert wait(sender)[1].ok
    assert len(web.arrived) == 2


def test_of_several_services_only_those_that_failed_are_tried_again(sender: Sender, web: Any, second_web: Any, wait: Any) -> None:
    web.answer = 500
    urls = [web.url(), second_web.url()]
    sender.submit(1, urls, "title", "body")
    assert wait(sender)[1].error == "json (1 of 2): answered 500"
    web.answer = 200
    sender.submit(1, urls, "title", "body")
    assert wait(sender)[1].ok
    assert (len(web.arrived), len(second_web.arrived)) == (2, 1)


def test_a_service_that_hangs_does_not_keep_the_other_from_being_told(web: Any, second_web: Any, wait: Any) -> None:
    web.answer = "hang"
    sender = Sender(seconds=6)
    sender.submit(1, [web.url(query="?rto=600"), second_web.url()], "title", "body")
    sent = wait(sender)[1]
    sender.close()
    assert sent.error == "json (1 of 2): no answer within 6 s"
    assert len(second_web.arrived) == 1


def test_what_apprise_does_not_understand_is_told_without_the_url(sender: Sender, wait: Any) -> None:
    sender.submit(1, ["xoxb-s3cret://hooks.example/T0KEN"], "title", "body")
    sent = wait(sender)[1]
    assert not sent.ok
    assert sent.error.startswith("url: apprise does not understand this url")
    assert "s3cret" not in sent.error
    assert "T0KEN" not in sent.error


def test_no_url_at_all_is_an_alert_not_sent(sender: Sender, wait: Any) -> None:
    sender.submit(1, [], "title", "body")
    assert wait(sender)[1].error == "no url to send to"


def test_only_so_many_workers_at_once_and_one_for_an_alert(sender: Sender, web: Any, wait: Any) -> None:
    web.answer = "hang"
    assert sender.submit(1, [web.url()], "title", "body")
    assert not sender.submit(1, [web.url()], "title", "body")
    assert sender.submit(2, [web.url()], "title", "body")
    assert not sender.submit(3, [web.url()], "title", "body")
    assert len(started(2)) == 2
    web.closing.set()
    wait(sender, 2)
    assert sender.submit(3, [web.url()], "title", "body")


def test_collect_has_nothing_to_say_while_a_worker_is_at_work(sender: Sender, web: Any) -> None:
    web.answer = "hang"
    assert sender.deadline() is None
    sender.submit(1, [web.url(query="?rto=600")], "title", "body")
    assert sender.collect(time.monotonic()) == []
    assert len(sender.fds()) == 1
    deadline = sender.deadline()
    assert deadline is not None
    assert 30 < deadline - time.monotonic() <= 35


def test_close_ends_the_workers(web: Any) -> None:
    web.answer = "hang"
    sender = Sender()
    sender.submit(1, [web.url()], "title", "body")
    started()
    sender.close()
    assert workers() == []
    assert sender.fds() == []


def test_no_zombie_stays(sender: Sender, web: Any, wait: Any) -> None:
    web.answer = "hang"
    sender.submit(1, [web.url()], "title", "body")
    pid = started()[0].pid
    web.closing.set()
    wait(sender)
    collect_the_ended(sender)
    assert not psutil.pid_exists(pid)


def test_a_worker_gets_neither_the_daemons_sockets_nor_its_place_in_the_queue(
    sender: Sender, web: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/x")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    web.answer = "hang"
    sender.submit(1, [web.url(query="?rto=600")], "title", "body")
    worker = started()[0]
    assert "NOTIFY_SOCKET" not in worker.environ()
    assert worker.environ()["HTTPS_PROXY"] == "http://127.0.0.1:1"
    assert os.getsid(worker.pid) == worker.pid
    end = time.monotonic() + 20
    while worker.nice() != 10 + os.nice(0):
        assert time.monotonic() < end, "the worker runs at the daemon's own priority"
        time.sleep(0.01)
    assert not [word for word in worker.cmdline() if "127.0.0.1" in word]


def test_the_waits_between_tries_grow_to_an_hour_and_never_end() -> None:
    assert [backoff(tries) for tries in range(1, 9)] == [30, 60, 120, 300, 600, 1800, 3600, 3600]
    assert backoff(0) == 30
    assert backoff(10_000) == 3600
