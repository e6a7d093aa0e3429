"""Alerts from the failure of a command to what arrives at real services: a mail server, a web server, a Slack-like webhook."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import sqlite3
import sys
import time
from typing import Any

from tests.alerts.conftest import MailService, WebService
from tests.daemon.live import Live, job

HOST = socket.gethostname()


def target(*urls: str, name: str = "ops", **keys: str) -> str:
    lines = [f"[alerts.{name}]", f"urls = {list(urls)!r}", *(f"{key} = {value}" for key, value in keys.items())]
    return "\n".join(lines) + "\n"


def kinds(live: Live) -> list[str]:
    return [kind for (kind,) in live.rows("SELECT kind FROM alerts ORDER BY id")]


def unsent(live: Live) -> int:
    return int(live.one("SELECT count(*) FROM alerts WHERE sent_at IS NULL"))


def titles(web: WebService) -> list[str]:
    return [str(message["title"]) for message in web.arrived]


def due_now(live: Live, at: float = 0.0) -> None:
    """Let the next try of every alert be due, as if time had passed; or at another time. The daemon must not be running."""
    assert not live.alive()
    db = sqlite3.connect(live.state / "cronflow.db")
    with db:
        db.execute("UPDATE alerts SET next_try_at = ? WHERE sent_at IS NULL", (at,))
    db.close()


# ---- what arrives ---------------------------------------------------------------------------------------------------------

BACKUP = """\
[ -e ok ] && { echo 'dumped 7 tables'; exit 0; }
i=1; while [ $i -le 30 ]; do echo "line $i"; i=$((i + 1)); done
printf '\\033[31mpg_dump: error\\033[0m: connection refused\\n' >&2
exit 1
"""


def test_a_failure_and_its_recovery_by_mail_and_webhook(live: Live, web: WebService, mail: MailService) -> None:
    jobs = job(
        "backup-db", BACKUP, schedule="30 2 * * *", cwd=str(live.folder), retries=1, retry_delay="100ms", owner="data-team",
        runbook="https://wiki.example/backup-db",
    )
    slack = f"mmost://127.0.0.1:{web.port}/3ccdd113474722377935511fc85d3dd4?image=no"
    jobs += job("upload", "true", after=["backup-db"]) + job("report", "true", after=["upload"])
    live.start(jobs + target(mail.url(), web.url(), slack))
    run = live.run("backup-db")
    assert live.final(run) == "failed"
    live.until(lambda: unsent(live) == 0 and kinds(live) == ["failure"], "the alert was not sent")

    (failed,) = [message for message in web.arrived if "message" in message]
    assert failed["title"] == f"FAILED backup-db on {HOST}"[:60]
    assert failed["type"] == "failure"
    check_failure(failed["message"], run)
    (chat,) = [message for message in web.arrived if "text" in message]
    assert "FAILED backup-db" in chat["text"]
    check_failure(chat["text"].replace("\r\n", "\n"), run)
    (letter,) = mail.mails
    assert letter["subject"] == failed["title"]
    part = letter.get_body(("plain", "html"))
    assert part is not None
    assert f"cronflow retry {run}" in part.get_content()

    live.path("ok").touch()
    again = live.run("backup-db")
    assert live.final(again) == "success"
    live.until(lambda: kinds(live) == ["failure", "recovery"] and unsent(live) == 0)
    recovered = [message for message in web.arrived if "message" in message][-1]
    assert recovered["title"] == f"RECOVERED backup-db on {HOST}"[:60]
    lines = recovered["message"].splitlines()
    user = live.one("SELECT by FROM runs WHERE id = ?", again)
    assert re.fullmatch(rf"Succeeded at \d\d:\d\d in .+ \(run {again}, started by hand by {user}\)\.", lines[0])
    assert re.match(r"Was failing for .+: 1 failed run since \d\d:\d\d\.", lines[1])
    assert re.fullmatch(r"Released: upload \(\w+\)", lines[2])
    assert len(mail.mails) == 2


def check_failure(text: str, run: int) -> None:
    """What happened, how often, what it blocks; the last 20 lines; commands to paste."""
    head, output, tail = text[text.index("Failed at") :].strip().split("\n\n")
    lines = head.splitlines()
    when = r"Failed at \d\d:\d\d:\d\d CES?T after 2 attempts \(\d\d:\d\d, \d\d:\d\d(:\d\d)?\)"
    assert re.fullmatch(when + r" \(started by hand by \w+\)\. Exit 1\. Ran \d+ s\.", lines[0])
    assert lines[1] == "First failure."
    assert lines[2] == "Blocks: upload, report"
    said = output.splitlines()
    assert said == [*(f"line {number}" for number in range(12, 31)), "pg_dump: error: connection refused"]
    commands = re.sub(" {2,}", "  ", tail).splitlines()
    assert commands[0] == f"Output:  cronflow logs {run}/backup-db  Again: cronflow retry {run}"
    assert re.fullmatch(r"Schedule: 30 2 \* \* \* Europe/Berlin  Next: (today|tomorrow) 0[23]:\d0", commands[1])
    assert commands[2] == "Owner: data-team  Runbook: https://wiki.example/backup-db"
    assert "\x1b" not in text


def test_one_alert_a_change_of_state(live: Live, web: WebService) -> None:
    command = f'echo x >> {live.path("count")}; [ -e {live.path("ok")} ]'
    live.start(job("a", command, retries=1, retry_delay="50ms") + job("quiet", "false", alert=[]) + target(web.url()))
    for _ in range(3):
        live.final(live.run("a"))
    live.final(live.run("quiet"))
    assert live.path("count").read_text() == "x\n" * 6
    live.path("ok").touch()
    for _ in range(2):
        live.final(live.run("a"))
    live.path("ok").unlink()
    live.final(live.run("a"))
    live.until(lambda: len(kinds(live)) == 3 and unsent(live) == 0)
    assert kinds(live) == ["failure", "recovery", "failure"]
    assert len(web.arrived) == 3


def test_a_target_hears_what_it_wants(live: Live, web: WebService) -> None:
    live.path("url").write_text(f"# the one on duty\n{web.url('/file')}\n")
    jobs = job("a", f'[ -e {live.path("ok")} ]') + job("b", "false", alert=["second"])
    text = jobs + target(web.url("/ops"), on='["recovery"]') + '[alerts.second]\nurl_file = "url"\non = ["failure"]\n'
    text += '[alerts.third]\nurl_env = "DUTY"\non = ["failure"]\n'
    live.start(text, DUTY=web.url("/env"))
    live.final(live.run("a"))
    live.path("ok").touch()
    live.final(live.run("a"))
    live.final(live.run("b"))
    live.until(lambda: len(web.paths) == 4 and unsent(live) == 0)
    assert sorted(zip(web.paths, titles(web), strict=True)) == [
        ("/env", f"FAILED a on {HOST}"[:60]),
        ("/file", f"FAILED a on {HOST}"[:60]),
        ("/file", f"FAILED b on {HOST}"[:60]),
        ("/ops", f"RECOVERED a on {HOST}"[:60]),
    ]


def test_a_command_that_never_started_is_told_with_the_key_to_look_at(live: Live, web: WebService) -> None:
    live.start(job("a", "true", cwd="/nowhere/at/all") + target(web.url()))
    live.final(live.run("a"))
    live.until(lambda: len(web.arrived) == 1)
    message = web.arrived[0]["message"]
    assert "Its folder cannot be entered." in message
    assert "`cwd`: cannot enter `/nowhere/at/all`: no such file or directory" in message


def test_what_is_shown_is_the_output_of_the_process_that_decided(live: Live, web: WebService) -> None:
    jobs = job("a", "echo done", check="echo only 3 rows; false") + job("b", "echo done", check="false")
    jobs += job("c", "true", wait_until="echo no file yet; false", wait_every="1s", wait_timeout="1s")
    live.start(jobs + target(web.url()))
    for name, line in (("a", "only 3 rows"), ("b", "done"), ("c", "no file yet")):
        live.final(live.run(name))
        live.until(lambda: unsent(live) == 0)
        assert web.arrived[-1]["message"].split("\n\n")[1] == line


def test_slots_missed_while_nobody_was_there_are_told_in_one_alert(live: Live, web: WebService) -> None:
    jobs = job("tick", "true", every="1s", catchup="none") + job("tock", "true", schedule="* * * * * *", catchup="none")
    live.start(jobs + target(web.url()))
    live.until(lambda: live.one("SELECT count(*) FROM runs WHERE flow = 'tick'"))
    live.terminate()
    time.sleep(2.5)
    live.start()
    live.until(lambda: titles(web))
    (message,) = web.arrived
    found = re.match(r"MISSED (\d+) slots on ", message["title"])
    assert found is not None
    counts = dict(re.findall(r"(tick|tock) × (\d+)", message["message"]))
    assert sum(map(int, counts.values())) == int(found[1])
    assert all(2 <= int(count) <= 10 for count in counts.values())
    assert message["message"].startswith("cronflow was down for ")
    assert "Only recorded: " in message["message"]
    assert kinds(live) == ["missed"]
    recorded = dict(live.rows("SELECT flow, sum(slots) FROM runs WHERE reason = 'daemon_down' GROUP BY flow"))
    assert recorded == {name: int(count) for name, count in counts.items()}


def test_a_broken_file_is_drawn_in_its_alert(live: Live, web: WebService) -> None:
    live.start('[settings]\nreload = "manual"\n' + job("a", "true") + target(web.url()))
    live.write('[jobs.a]\ncommand = "true"\ntimeuot = "5m"\n')
    assert live.cli("reload").status == 1
    live.until(lambda: titles(web))
    assert titles(web) == [f"CONFIG jobs.toml on {HOST}: 1 problem"]
    message = web.arrived[0]["message"]
    assert f"{live.file} has 1 problem, so its change was not taken over." in message
    assert f'error: unknown key `timeuot` in job `a`\n --> {live.file}:3:1\n  |\n3 | timeuot = "5m"\n  | ^^^^^^^' in message
    assert f"cronflow check {live.file}" in message


# ---- services that do not do ----------------------------------------------------------------------------------------------


def test_a_service_that_is_down_loses_nothing_and_delays_nobody(live: Live, web: WebService) -> None:
    web.answer = 500
    live.start(job("a", "false") + job("b", "true") + target(web.url()))
    live.final(live.run("a"))
    error = live.until(lambda: live.one("SELECT error FROM alerts WHERE tries = 1"))
    assert error == "json: answered 500"
    assert live.final(live.run("b")) == "success"
    screen = live.cli("status").out
    assert "ALERTS NOT DELIVERED" in screen
    assert "1 alert to ops" in screen
    assert "json: answered 500" in screen
    assert re.search(r"undelivered=1\b", live.cli("status", "--check").out)
    assert live.cli("alerts", "list", "--json").json["alerts"][0]["tries"] == 1

    live.terminate()
    due_now(live)
    web.answer = 200
    live.start(job("b", "true") + target(web.url()))  # of a job that has gone meanwhile
    live.until(lambda: unsent(live) == 0)
    assert titles(web) == [f"FAILED a on {HOST}"[:60]] * 2
    assert "NOT DELIVERED" not in live.cli("status").out


def test_an_alert_of_a_clock_that_was_days_ahead_does_not_wait_for_that_time(live: Live, web: WebService) -> None:
    web.answer = 500
    live.start(job("a", "false") + target(web.url()))
    live.final(live.run("a"))
    live.until(lambda: live.one("SELECT tries FROM alerts") == 1)
    live.terminate()
    due_now(live, time.time() + 864_000)
    web.answer = 200
    live.start()
    live.until(lambda: unsent(live) == 0, "the alert was not sent")


def test_an_alert_is_given_up_a_day_after_its_target_has_gone(live: Live, web: WebService) -> None:
    web.answer = 500
    live.start(job("a", "false") + target(web.url(), name="old") + target(web.url("/new"), on='["system"]'))
    live.final(live.run("a"))
    live.final(live.run("a"))
    live.until(lambda: live.one("SELECT min(tries) FROM alerts") == 1)
    live.terminate()
    live.write(job("a", "false") + target(web.url("/new"), on='["system"]'))
    due_now(live, time.time())
    tries = "UPDATE alerts SET tries = 2 WHERE target = 'old'"
    with contextlib.closing(sqlite3.connect(live.places.database)) as db, db:
        db.execute(tries)
    live.start()
    live.until(lambda: live.one("SELECT min(tries) FROM alerts WHERE target = 'old'") == 3)
    assert live.one("SELECT count(*) FROM alerts WHERE target = 'old' AND sent_at IS NULL") == 1
    live.until(lambda: bool(live.rows("SELECT 1 FROM troubles WHERE key = 'alerts:old'")))
    live.terminate()
    with contextlib.closing(sqlite3.connect(live.places.database)) as db, db:
        db.execute("UPDATE alerts SET at = at - 90000, next_try_at = 0 WHERE target = 'old'")
    live.start()
    live.until(lambda: not live.rows("SELECT 1 FROM troubles WHERE key = 'alerts:old'"), "the trouble goes on")
    (given_up,) = [one for one in live.cli("alerts", "list", "--json").json["alerts"] if one["target"] == "old"]
    assert (given_up["sent_at"], given_up["next_try_at"]) == (None, None)
    assert given_up["given_up_at"] is not None
    assert "given up: there is no `[alerts.old]` in the job file any more" in live.cli("alerts", "list").out


def test_a_folder_whose_name_is_no_utf8_is_told_of(live: Live, web: WebService) -> None:
    folder = live.folder / os.fsdecode(b"d\xff")
    folder.mkdir()
    here = Live(folder)
    try:
        broken = job("a", "true", secrets={"S": "file:none"}, watch=["in/*"])
        here.start(broken + target(web.url()))
        assert here.final(here.run("a")) == "failed"
        here.write("[jobs.a]\n")
        assert here.cli("reload").status == 1
        here.until(lambda: len(web.arrived) == 2, "an alert was not sent")
        assert here.rows("SELECT key FROM troubles") == [("config",)]
        here.write(broken)
        here.terminate()
        here.start()
        assert here.rows("SELECT key FROM troubles") == []
    finally:
        if here.alive():
            here.terminate()


def test_after_three_tries_the_others_hear_of_it(live: Live, web: WebService, mail: MailService) -> None:
    web.answer = 503
    quiet = target(mail.url(), name="second", on='["system"]')
    live.write(job("a", "false") + target(web.url()) + quiet)
    for tries in (1, 2, 3):
        live.start()
        if tries == 1:
            live.final(live.run("a"))
        live.until(lambda tries=tries: live.one("SELECT tries FROM alerts WHERE kind = 'failure'") == tries)
        assert live.rows("SELECT kind FROM alerts WHERE kind = 'system'") == [] or tries == 3
        if tries < 3:
            live.terminate()
            due_now(live)
    live.until(lambda: mail.mails)
    assert "SYSTEM" in str(mail.mails[0]["subject"])
    assert live.rows("SELECT target FROM alerts WHERE kind = 'system'") == [("second",)]
    problems = live.cli("status", "--json").json["problems"]
    assert [problem["message"] for problem in problems] == ["alerts to `ops` do not arrive: json: answered 503"]
    web.answer = 200
    live.terminate()
    due_now(live)
    live.start()
    live.until(lambda: unsent(live) == 0 and live.rows("SELECT * FROM troubles") == [])


def test_a_service_that_hangs_holds_up_neither_jobs_nor_the_next_daemon(live: Live, web: WebService) -> None:
    web.answer = "hang"
    live.start(job("a", "false") + job("b", "true") + target(web.url()))
    live.final(live.run("a"))
    live.until(lambda: web.arrived)
    begun = time.monotonic()
    for _ in range(5):
        assert live.final(live.run("b")) == "success"
    assert time.monotonic() - begun < 20
    live.signal(signal.SIGKILL)
    live.ended()
    assert unsent(live) == 1
    web.answer = 200
    web.closing.set()
    live.process = None
    live.start()
    live.until(lambda: unsent(live) == 0)
    assert {title[:8] for title in titles(web)} == {"FAILED a"}


def test_a_service_that_hangs_does_not_hold_up_the_alerts_to_another(live: Live, web: WebService, mail: MailService) -> None:
    web.answer = "hang"
    names = [f"j{number}" for number in range(12)]
    jobs = "".join(job(name, "false", alert=["slow"]) for name in names) + job("b", "false", alert=["good"])
    live.write(jobs + target(web.url(), name="slow") + target(mail.url(), name="good"))
    live.start(None, sys.executable, "-m", "tests.faults.hasty", "10")
    for run in live.ask("run", jobs=names)["runs"]:
        live.final(run)
    live.final(live.run("b"))
    untried = "SELECT count(*) FROM alerts WHERE target = 'slow' AND tries = 0"
    before = live.one(untried)
    live.until(lambda: unsent(live) == len(names), "the mail was not sent", 90)
    assert len(mail.mails) == 1
    after = live.one(untried)
    assert after >= max(before - 4, 1)
    web.answer = 200
    web.closing.set()
    live.until(lambda: live.one(untried) < after, "those that wait have no turn", 60)


def test_a_target_whose_url_cannot_be_had_is_tried_again(live: Live, web: WebService) -> None:
    live.start(job("a", "false") + '[alerts.ops]\nurl_file = "secret"\n')
    live.final(live.run("a"))
    error = live.until(lambda: live.one("SELECT error FROM alerts"))
    assert error == f"`[alerts.ops]`: `url_file` {live.path('secret')}: no such file or directory"
    live.path("secret").write_text(web.url())
    live.terminate()
    due_now(live)
    live.start()
    live.until(lambda: unsent(live) == 0)
    assert len(web.arrived) == 1


def test_many_alerts_at_once_all_arrive(live: Live, web: WebService) -> None:
    names = [f"j{number}" for number in range(8)]
    live.start("".join(job(name, "false") for name in names) + target(web.url()))
    runs: list[Any] = live.ask("run", jobs=names)["runs"]
    for run in runs:
        live.final(run)
    live.until(lambda: unsent(live) == 0)
    assert sorted(titles(web)) == sorted(f"FAILED {name} on {HOST}"[:60] for name in names)


def test_without_a_daemon_the_foreground_sends(live: Live, web: WebService) -> None:
    live.write(job("a", "false") + target(web.url()))
    assert live.cli("run", "a").status == 1
    assert titles(web) == [f"FAILED a on {HOST}"[:60]]
