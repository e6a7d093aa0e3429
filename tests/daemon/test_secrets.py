"""Secrets: where their values come from, where they reach, and all the places where they must not be found."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from cronflow.core.jobs import Job
from cronflow.daemon.processes.environment import Account, Unstartable
from cronflow.daemon.processes.secrets import SecretError, Secrets, ask_command, command_orders, read_secret
from cronflow.facts.output import Mask
from tests.daemon.live import Live, job

VALUE = "hunter2-Zw9kq"
ANNA = Account("anna", 1000, 1000, (1000,), "/home/anna", "/bin/sh")


# ---- references -----------------------------------------------------------------------------------------------------------


def test_values_behind_references(tmp_path: Path) -> None:
    (tmp_path / "db").write_text(f"{VALUE}\n")
    (tmp_path / "lines").write_text("one\ntwo\r\n\n")
    environ = {"TOKEN": " x \n", "CREDENTIALS_DIRECTORY": str(tmp_path)}
    folder = str(tmp_path)
    assert read_secret(f"file:{tmp_path}/db", "/", "/", {}) == VALUE
    assert read_secret("file:db", "/", folder, {}) == VALUE
    assert read_secret("file:~/db", folder, "/", {}) == VALUE
    assert read_secret("file:lines", "/", folder, {}) == "one\ntwo\r\n"
    assert read_secret("env:TOKEN", "/", "/", environ) == " x \n"
    assert read_secret("credential:db", "/", "/", environ) == VALUE


def refusal(ref: str, folder: Path, **environ: str) -> str:
    with pytest.raises(SecretError) as fault:
        read_secret(ref, "/", str(folder), environ)
    return str(fault.value).replace(str(folder), "…")


def test_values_that_cannot_be_had(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_text("x" * 65537)
    (tmp_path / "bytes").write_bytes(b"\xff")
    (tmp_path / "nul").write_bytes(b"a\0b")
    assert refusal("file:none", tmp_path) == "there is no file `…/none`"
    assert refusal("file:pipe", tmp_path) == "`…/pipe` is no regular file"
    assert refusal("file:", tmp_path) == "`…/` is no regular file"
    assert refusal("file:large", tmp_path) == "`…/large` is larger than 64 kB"
    assert refusal("file:bytes", tmp_path) == "`…/bytes` is no UTF-8 text"
    assert refusal("file:nul", tmp_path) == "`…/nul` has a NUL character"
    assert refusal("env:TOKEN", tmp_path) == "`TOKEN` is not in the environment of the daemon"
    assert refusal("credential:db", tmp_path) == "the daemon has no credentials: the unit needs `LoadCredential=`"
    assert refusal("credential:../x", tmp_path, CREDENTIALS_DIRECTORY=str(tmp_path)) == "there is no file `…/x`"


def test_older_values_are_still_masked(tmp_path: Path) -> None:
    said: list[str] = []
    secrets = Secrets(str(tmp_path), {}, said.append)
    one = Job("a", "true", secrets={"DB": "file:db", "PIN": "file:pin", "TOKEN": "command:echo x"})
    (tmp_path / "pin").write_text("123")
    for number in range(12):
        (tmp_path / "db").write_text(f"value-{number}\n")
        assert secrets.resolve(one, ANNA) == {"DB": f"value-{number}", "PIN": "123"}
    (tmp_path / "db").write_text("newest")
    assert secrets.masks(one) == [*(f"value-{number}" for number in range(5, 12)), "newest", "123"]
    (tmp_path / "db").unlink()
    assert "newest" in secrets.masks(one)
    assert said == ["secret `PIN` of `a` is shorter than 4 characters, so it is not masked"]
    with pytest.raises(Unstartable) as fault:
        secrets.resolve(one, ANNA)
    assert (fault.value.reason, fault.value.message) == (
        "no_secret",
        f"secret `DB` (`file:db`): there is no file `{tmp_path}/db`",
    )


def test_commands_that_print_a_value() -> None:
    def value(command: str) -> str | None:
        return ask_command(command_orders(Job("a", "true", secrets={"X": f"command:{command}"}, env={"E": "e"}), {})[0])

    assert value(f"echo {VALUE}; echo noise >&2") == VALUE
    assert value('echo "$E"; sleep 600 &') == "e"
    assert value(f"echo {VALUE}; false") is None
    assert value("yes") is None
    assert value("no-such-program") is None
    orders = command_orders(Job("a", "true", user="no-such-user", secrets={"X": "command:echo x"}), {})
    assert [ask_command(order) for order in orders] == [None]


# ---- masking --------------------------------------------------------------------------------------------------------------


def test_a_value_that_comes_in_pieces() -> None:
    text = b"pw=hunter2-Zw9kq, hunter2 hunter2-Zw9kqhunter2-"
    for size in range(1, len(text)):
        mask = Mask([VALUE, "", "abc"])
        shown = b"".join(mask.feed(text[at : at + size]) for at in range(0, len(text), size))
        assert shown + mask.rest() == b"pw=***, hunter2 ***hunter2-"
    mask = Mask([VALUE])
    assert mask.feed(b"a line\n") == b"a line\n"
    assert mask.feed(b"hunt me\n") == b"hunt me\n"


# ---- a real daemon --------------------------------------------------------------------------------------------------------


@pytest.fixture
def service() -> Iterator[tuple[str, list[str]]]:
    """A place that alerts are sent to: its URL, and what has come."""
    came: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append(json.dumps(json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"json://127.0.0.1:{server.server_port}/", came
    server.shutdown()
    server.server_close()


def database(live: Live) -> str:
    """All that the database says."""
    with closing(sqlite3.connect(f"file:{live.state}/cronflow.db?mode=ro", uri=True)) as db:
        return "\n".join(db.iterdump())


def found_in(live: Live) -> list[str]:
    """The files of the state folder that hold the value, but those that commands have written it into."""
    files = [path for path in live.state.rglob("*") if path.is_file() and path.suffix not in (".log", ".output")]
    return [str(path) for path in files if VALUE.encode() in path.read_bytes()]


def in_command_lines() -> list[str]:
    found = []
    for name in os.listdir("/proc"):
        try:
            line = Path(f"/proc/{name}/cmdline").read_bytes() if name.isdigit() and int(name) != os.getpid() else b""
        except OSError:
            continue
        if VALUE.encode() in line:
            found.append(line.decode(errors="replace"))
    return found


@pytest.mark.parametrize("form", ["file", "env", "credential", "command"])
def test_a_value_is_where_it_belongs_and_nowhere_else(live: Live, service: tuple[str, list[str]], form: str) -> None:
    url, came = service
    secret = live.write(f"{VALUE}\n", "db")
    ref = {"file": "file:db", "env": "env:TOKEN", "credential": "credential:db", "command": f"command:cat {secret}"}[form]
    command = f'test "$PW" = "$(cat {secret})" || exit 7; echo "pw $PW here"; sleep 600 & wait'
    if form != "command":  # the daemon does not know what that prints
        command = f'echo "kept=$PW" > "$CRONFLOW_OUTPUT"; {command}'
    alerts = f'[alerts.ops]\nurls = ["{url}"]\n'
    env = {"env": {"TOKEN": VALUE}, "credential": {"CREDENTIALS_DIRECTORY": str(live.folder)}}.get(form, {})
    keys = {"secrets": {"PW": ref}, "only_if": 'echo "c $PW"'}
    live.start(alerts + job("a", command, **keys), **env)
    run = live.run("a")
    pid = live.started(run, "a")
    live.until(lambda: VALUE in live.output(run, "a"))
    assert in_command_lines() == []
    assert f"PW={VALUE}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") or form == "command"
    following = live.cli("logs", f"{run}/a", **env)
    assert (following.out.count("***"), following.err) == (2, "")
    os.kill(pid, 9)
    assert live.final(run) == "failed"
    live.until(lambda: came, "no alert came")
    assert "pw *** here" in came[0]
    for words in (("logs", f"{run}/a/1"), ("logs", str(run), "--json"), ("why", "a"), ("status",), ("status", "a", "--json")):
        told = live.cli(*words)
        assert VALUE not in told.out + told.err, words
    assert "pw *** here" in live.cli("why", "a").out
    assert live.cli("logs", f"{run}/a/1").out == "pw *** here\n"
    assert VALUE not in "".join(came) + live.log
    assert VALUE not in database(live)
    assert form == "command" or live.one("SELECT outputs FROM tasks") == '{"kept":"***"}'
    live.terminate()
    assert found_in(live) == []


def test_a_secret_that_is_not_there(live: Live) -> None:
    live.start(job("a", "true", secrets={"PW": "file:none"}) + job("b", "true", secrets={"PW": "command:echo oh >&2; exit 4"}))
    run = live.run("a")
    live.final(run)
    fact = f"secret `PW` (`file:{live.folder}/none`): there is no file `{live.folder}/none`"
    assert live.rows("SELECT state, reason, note FROM tasks") == [("failed", "no_secret", fact)]
    run = live.run("b")
    live.final(run)
    assert live.one("SELECT exit_code FROM attempts WHERE run = ?", run) == 125
    assert live.output(run, "b") == "oh\ncronflow: the command of secret `PW` ended with exit status 4\n"
    told = live.cli("logs", str(run))
    assert "secret `PW` of `b` cannot be read here, so it is not masked" in told.err


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("yes", "cronflow: the command of secret `PW` printed more than 64 kB\n"),
        ("head -c 65537 /dev/zero | tr '\\0' a", "cronflow: the command of secret `PW` printed more than 64 kB\n"),
        ("head -c 65536 /dev/zero | tr '\\0' a", "65536\n"),
        ("printf 'a/cronflow/0\\n b\\n\\n\\n'", "15\n"),
        ("true", "0\n"),
        ("exit 7", "cronflow: the command of secret `PW` ended with exit status 7\n"),
    ],
)
def test_what_a_command_prints_has_a_limit(live: Live, command: str, said: str) -> None:
    """Nothing of a flood is kept in memory beyond it."""
    live.start(job("a", "echo ${#PW}", secrets={"PW": f"command:{command}"}, timeout="20s"))
    run = live.run("a")
    assert live.final(run) == ("success" if said[0].isdigit() else "failed")
    assert live.output(run, "a") == said


def test_alerts_without_output_where_it_cannot_be_masked(live: Live, service: tuple[str, list[str]]) -> None:
    url, came = service
    secret = live.write(f"{VALUE}\n", "db")
    ref = f"command:test -e {live.path('once')} || {{ touch {live.path('once')}; cat {secret}; }}; test ! -e {live.path('no')}"
    alerts = f'[alerts.ops]\nurls = ["{url}"]\n'
    live.start(alerts + job("a", f"touch {live.path('no')}; echo $PW; exit 1", secrets={"PW": ref}))
    live.run("a")
    live.until(lambda: came, "no alert came")
    assert VALUE not in came[0]
    assert "(not shown: secret `PW` cannot be read" in came[0]


def test_the_environment_that_is_shown(live: Live) -> None:
    live.write(VALUE, "db")
    keys = {"secrets": {"PW": "file:db"}, "params": {"DAY": "x"}, "matrix": {"REGION": ["eu", "us"]}}
    live.write(job("a", "true", **keys))
    told = live.cli("env", "a", "-p", "DAY=a b")
    assert told.status == 0
    lines = told.out.splitlines()
    assert {"PW='***'", "DAY='a b'", "REGION=eu   # example"} <= set(lines)
    assert any(line.startswith("CRONFLOW_STATE_DIR=") and "a[eu].state" in line for line in lines)
    told = live.cli("env", "a", "--diff", PW=VALUE)
    assert VALUE not in told.out
    assert "+ DAY=x" in told.out
