"""Sends alerts without ever waiting: each by a worker process, a few at a time. It knows nothing of SQL.

The daemon submits an alert, puts `fds()` into its selector, sleeps no longer than `deadline()`, and asks `collect` what has
ended. The rows of the alerts, their tries and their next try belong to the daemon; an alert is sent at least once.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cronflow.core.jobs import AlertTarget
from cronflow.errors import CronflowError
from cronflow.files import NotRegularError, read_regular
from cronflow.linux import python_words, start_worker

TIME_LIMIT = 30.0
GRACE = 5.0
"""Seconds after its own limit at which a worker that has not ended is killed."""

_BACKOFF = (30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
LONGEST = _BACKOFF[-1]
"""Seconds from one try to send an alert to the next, at the most."""
_REAP_SOON = 0.05
_ANSWER_LIMIT = 65536
_REMEMBERED = 1000
_URL_FILE_LIMIT = 65536

_WORKER = "import sys; sys.path.insert(0, sys.argv[1]); from cronflow.alerts.worker import main; main()"


class TargetError(CronflowError):
    """The URLs of an `[alerts.NAME]` cannot be had. Names the file or variable, never what it holds."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a submitted alert. `error` has no URL in it, at most its scheme; empty when `ok`."""

    alert_id: int
    ok: bool
    error: str = ""


@dataclass(slots=True)
class _Worker:
    alert_id: int
    process: subprocess.Popen[bytes]
    fd: int
    deadline: float
    urls: list[str]
    answer: bytearray = field(default_factory=bytearray)


class Sender:
    """Drives the workers. Nothing here blocks: a service that hangs holds a worker, never the daemon or a job.

    Of a target with several URLs those that took the alert are remembered while the program runs, so that a try again
    goes only to the others.
    """

    def __init__(self, limit: int = 2, seconds: float = TIME_LIMIT, grace: float = GRACE) -> None:
        """`limit`: workers at once. `seconds`: the time a worker has; `grace` after it, it is killed."""
        self._limit = limit
        self._seconds = seconds
        self._grace = grace
        self._workers: dict[int, _Worker] = {}
        self._ending: list[subprocess.Popen[bytes]] = []
        self._unstarted: list[Sent] = []
        self._taken: dict[int, set[str]] = {}

    def submit(
        self,
        alert_id: int,
        urls: Sequence[str],
        title: str,
        body: str,
        kind: str = "failure",
        compose: Mapping[str, Any] | None = None,
    ) -> bool:
        """Start a worker for an alert; False when as many as allowed are at work, or this alert is on its way already.

        With `compose` the worker itself makes title and body, after it has asked for the secrets to be masked in them. A worker
        that cannot be started (no process, no memory) is an alert not sent: the next `collect` says so."""
        if self.room() <= 0 or alert_id in self._workers:
            return False
        taken = self._taken.get(alert_id, set())
        left = [url for url in urls if _digest(url) not in taken]
        if urls and not left:
            self._unstarted.append(Sent(alert_id, ok=True))
            return True
        order = {"urls": left, "title": title, "body": body, "kind": kind, "limit": self._seconds}
        try:
            process = _start(order if compose is None else {**order, "compose": compose})
        except OSError as error:
            self._unstarted.append(Sent(alert_id, False, f"the sender cannot be started: {error.strerror}"))
            return True
        assert process.stdout is not None  # start_worker made a pipe
        end = time.monotonic() + self._seconds + self._grace
        self._workers[alert_id] = _Worker(alert_id, process, process.stdout.fileno(), end, left)
        return True

    def room(self) -> int:
        """How many more alerts `submit` takes now."""
        return self._limit - len(self._workers) - len(self._unstarted)

    def fds(self) -> list[int]:
        """The descriptors that become readable when there may be something to collect; they change with each call."""
        return [worker.fd for worker in self._workers.values()]

    def deadline(self) -> float | None:
        """Until when `collect` has nothing to do if no descriptor becomes readable (monotonic clock). None: no limit."""
        now = time.monotonic()
        if self._unstarted:
            return now
        ends = [worker.deadline for worker in self._workers.values()]
        if self._ending:
            ends.append(now + _REAP_SOON)
        return min(ends, default=None)

    def collect(self, now: float) -> list[Sent]:
        """What has ended since the last call, workers past their time included. `now`: monotonic clock."""
        sent, self._unstarted = self._unstarted, []
        for worker in list(self._workers.values()):
            if self._read(worker):
                sent.append(self._end(worker))
            elif now >= worker.deadline:
                _kill(worker.process)
                worker.answer.clear()
                sent.append(self._end(worker, f"no answer within {self._seconds:g} s"))
        self._ending = [process for process in self._ending if process.poll() is None]
        return sent

    def close(self) -> None:
        """End the workers, at once. Their alerts count as not sent."""
        processes = [worker.process for worker in self._workers.values()] + self._ending
        for process in processes:
            _kill(process)
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):  # it hangs in the kernel; init will reap it
                process.wait(timeout=1.0)
            if process.stdout is not None:
                process.stdout.close()
        self._workers.clear()
        self._ending.clear()

    def _read(self, worker: _Worker) -> bool:
        """True once the worker has closed its end of the pipe."""
        while True:
            try:
                piece = os.read(worker.fd, 4096)
            except BlockingIOError:
                return False
            if not piece:
                return True
            if len(worker.answer) < _ANSWER_LIMIT:
                worker.answer += piece

    def _end(self, worker: _Worker, killed: str = "") -> Sent:
        del self._workers[worker.alert_id]
        assert worker.process.stdout is not None
        worker.process.stdout.close()
        if (status := worker.process.poll()) is None:
            self._ending.append(worker.process)
        answer = _parsed(worker.answer)
        self._remember(worker, answer)
        if killed or answer is None:
            return Sent(worker.alert_id, False, killed or _silent(status))
        return Sent(worker.alert_id, bool(answer.get("ok")), str(answer.get("error", "")))

    def _remember(self, worker: _Worker, answer: Mapping[str, Any] | None) -> None:
        if answer is None:
            return
        taken = self._taken.pop(worker.alert_id, set())
        if answer.get("ok"):
            return
        taken |= {_digest(worker.urls[index]) for index in answer.get("delivered", ()) if index < len(worker.urls)}
        if taken:
            self._taken[worker.alert_id] = taken
        while len(self._taken) > _REMEMBERED:
            del self._taken[next(iter(self._taken))]


def resolve(target: AlertTarget, environ: Mapping[str, str], folder: str = "") -> list[str]:
    """The Apprise URLs of a target, as they are now: from the job file, a file (a URL a line, `#` comments) or the environment.

    `folder` is where a relative `url_file` is looked for. A TargetError where there are none, without a word of what was read.
    """
    if target.url_file is not None:
        source = f"`url_file` {target.url_file}"
        lines = _read_lines(target, os.path.join(folder, target.url_file))
    elif target.url_env is not None:
        source = f"the environment variable `{target.url_env}`"
        if target.url_env not in environ:
            raise _target_error(target, f"{source} is not set", "set it in the environment of the daemon, or use `url_file`")
        lines = environ[target.url_env].splitlines()
    else:
        source, lines = "`urls`", list(target.urls)
    urls = []
    for number, line in enumerate(lines, 1):
        url = line.strip()
        if not url or url.startswith("#"):
            continue
        if "://" not in url:
            raise _target_error(target, f"line {number} of {source} is no url", "an Apprise url looks like `slack://…`")
        urls.append(url)
    if not urls:
        raise _target_error(target, f"{source} holds no url", "put an Apprise url there, one a line")
    return urls


def backoff(tries: int) -> float:
    """Seconds from the end of the try number `tries` (from 1) to the next: 30 s, 1, 2, 5, 10, 30 min, then an hour, for ever."""
    return _BACKOFF[min(max(tries, 1), len(_BACKOFF)) - 1]


def _read_lines(target: AlertTarget, path: str) -> list[str]:
    try:
        data, _ = read_regular(path, _URL_FILE_LIMIT)
        return data[:_URL_FILE_LIMIT].decode("utf-8-sig").splitlines()
    except NotRegularError:
        raise _target_error(target, f"`url_file` {target.url_file} is no regular file", "put the url into a file") from None
    except OSError as error:
        hint = "the daemon's user must be able to read it" if isinstance(error, PermissionError) else "create it"
        raise _target_error(target, f"`url_file` {target.url_file}: {(error.strerror or '').lower()}", hint) from None
    except UnicodeDecodeError:
        raise _target_error(target, f"`url_file` {target.url_file} is no UTF-8 text", "a url a line") from None


def _target_error(target: AlertTarget, fact: str, hint: str) -> TargetError:
    return TargetError(f"`[alerts.{target.name}]`: {fact}", hint)


def _start(order: Mapping[str, Any]) -> subprocess.Popen[bytes]:
    """The order goes through memory, not a pipe that may fill, nor the command line that others can read."""
    with open(os.memfd_create("alert", os.MFD_CLOEXEC), "w+b", buffering=0) as stdin:
        stdin.write(json.dumps(order).encode())
        stdin.seek(0)
        return start_worker(python_words(_WORKER), stdin)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a worker and what its plugins may have started. Not yet reaped, so that the pid is still its own."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


def _parsed(answer: bytearray) -> dict[str, Any] | None:
    try:
        value = json.loads(answer)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _silent(status: int | None) -> str:
    if status is None:
        return "the sender ended without an answer"
    how = f"was killed by signal {-status}" if status < 0 else f"ended with exit status {status}"
    return f"the sender {how}, without an answer"


def _digest(url: str) -> str:
    return hashlib.sha256(url.encode("utf-8", "surrogateescape")).hexdigest()
