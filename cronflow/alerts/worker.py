"""The short-lived process that sends one alert: an order as JSON on stdin, one line of JSON as its answer on stdout.

A process of its own because apprise costs 0.4 s and 44 MiB, and because a service may hang or answer one byte a second:
whatever it does, this process is over when its time is. Nothing that it says holds any part of a URL but the scheme.

    order:   {"urls": [...], "title": "...", "body": "...", "kind": "failure", "limit": 30}
    answer:  {"ok": false, "error": "slack (1 of 2): answered 500", "delivered": [1]}
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Any, NoReturn

from cronflow.alerts.layout import short
from cronflow.core.words import middle_cut

TIME_LIMIT = 30.0
_ERROR_WIDTH = 600

_CAUSES = (
    (r"connection refused|errno 111", "connection refused"),
    (r"timed? ?out", "no answer in time"),
    (r"name or service not known|failed to resolve|name resolution|no address associated", "host name not found"),
    (r"certificate|sslerror|ssl:", "its TLS certificate or handshake is not accepted"),
    (r"\b53[045]\b|authentication", "login refused"),
    (r"unreachable|no route to host", "network unreachable"),
    (r"connection aborted|reset by peer|remote end closed|remotedisconnected|unexpectedly closed", "connection broken off"),
    (r"\b(?:550|551|553|554)\b|recipients? refused|sender refused", "mail refused"),
)
"""What the exceptions of requests, smtplib and the system say -> our words: theirs name hosts, paths and accounts."""

_CALLS_EVERYBODY = re.compile(r"@(?=(?:all|channel|everyone|here|room)\b)", re.IGNORECASE)
_NO_CHAT = ("mailto", "json", "xml", "form")

_logged: ContextVar[list[str] | None] = ContextVar("_logged", default=None)


class _Listener(logging.Handler):
    """Keeps what apprise logs while it sends: it gives causes nowhere else."""

    def emit(self, record: logging.LogRecord) -> None:
        lines = _logged.get()
        if lines is not None:
            lines.append(record.getMessage())


class Delivery:
    """The outcome for each URL, and the one answer: given when all have ended or the time is up, whichever is first."""

    def __init__(self, urls: Sequence[str], answer_fd: int) -> None:
        self.urls = urls
        self.outcomes: dict[int, str] = {}
        self.schemes: dict[int, str] = {}
        self._fd = answer_fd
        self._answering = threading.Lock()

    def label(self, index: int) -> str:
        """A URL's scheme, once apprise has taken it for one (what stands before `:` may else be a secret), and its place."""
        name = self.schemes.get(index, "url")
        return f"{name} ({index + 1} of {len(self.urls)})" if len(self.urls) > 1 else name

    def answer(self, otherwise: str) -> NoReturn:
        """Write the answer and end the process; `otherwise` is said of URLs without an outcome."""
        self._answering.acquire()  # never released: there is one answer
        outcomes = [self.outcomes.get(index, otherwise) for index in range(len(self.urls))]
        errors = [f"{self.label(index)}: {error}" for index, error in enumerate(outcomes) if error]
        if not self.urls:
            errors = ["no url to send to"]
        text = middle_cut("; ".join(errors), _ERROR_WIDTH)
        delivered = [index for index, error in enumerate(outcomes) if not error]
        _write(self._fd, {"ok": not errors, "error": text, "delivered": delivered})


def main() -> None:
    """Read the order, send, answer, end: always with one line on stdout, and always within the order's limit.

    Past the limit by two seconds (a C library that holds the interpreter) the kernel's alarm ends it without an answer.
    """
    answer_fd = _take_stdout()
    try:
        _stand_back()
        order = json.load(sys.stdin)
        limit = float(order.get("limit", TIME_LIMIT))
        delivery = Delivery(order["urls"], answer_fd)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, limit + 2)
        late = threading.Timer(limit, delivery.answer, (f"no answer within {limit:g} s",))
        late.daemon = True
        late.start()
        if "compose" in order:
            order["title"], order["body"] = composed(order["compose"])
        _send_all(delivery, order)
        delivery.answer("not sent")
    except ModuleNotFoundError as missing:
        _write(answer_fd, {"ok": False, "error": f"the python module `{missing.name}` is missing", "delivered": []})
    except Exception as unforeseen:  # whatever it is, it is answered; its text may hold a URL, its type does not
        _write(answer_fd, {"ok": False, "error": f"the sender ended by {type(unforeseen).__name__}", "delivered": []})


def composed(order: Mapping[str, Any]) -> tuple[str, str]:
    """Title and body of an alert whose secrets have to be asked for first. Where that fails, the output is not shown: what leaves
    the machine is masked."""
    from cronflow.alerts.text import text
    from cronflow.ask import ask_command

    facts = dict(order["facts"])
    mask = [*facts.get("mask", ())]
    for one in order["secrets"]:
        value = ask_command(one)
        if value is None:  # the others are not asked: each may take its time, and one that is missing hides the output already
            if facts.get("tail"):
                facts["tail"] = [f"(not shown: secret `{one['key']}` cannot be read, so that it could not be masked)"]
            break
        mask.append(value)
    facts["mask"] = mask
    return text(order["kind"], facts, order["host"], order["zone"])


def _take_stdout() -> int:
    """The answer's own descriptor; what else is printed by a plugin or its children goes nowhere."""
    answer_fd = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    return answer_fd


def _stand_back() -> None:
    """Jobs go first, for the processor and where memory ends: the daemon's own protection is not for this process."""
    os.nice(10)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("0")


def _write(fd: int, answer: Mapping[str, Any]) -> NoReturn:
    with contextlib.suppress(OSError):  # the daemon has gone: nobody to tell
        os.write(fd, json.dumps(answer).encode() + b"\n")
    os._exit(0)  # threads that hang in a connection are not waited for


def _send_all(delivery: Delivery, order: Mapping[str, Any]) -> None:
    """One thread for each URL: a service that hangs does not keep the others from being told."""
    import apprise

    logger = logging.getLogger("apprise")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.addHandler(_Listener())
    apprise.Apprise.instantiate("json://localhost", suppress_exceptions=True)  # loads the plugins, before any thread
    threads = [threading.Thread(target=_send, args=(delivery, index, order), daemon=True) for index in range(len(delivery.urls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _send(delivery: Delivery, index: int, order: Mapping[str, Any]) -> None:
    lines: list[str] = []
    _logged.set(lines)
    try:
        error = _notify(delivery, index, order)
        delivery.outcomes[index] = _cause(lines) if error is None else error
    except Exception as unforeseen:  # one of 200 plugins; its text may hold parts of the URL
        delivery.outcomes[index] = f"the plugin ended by {type(unforeseen).__name__}"


def _notify(delivery: Delivery, index: int, order: Mapping[str, Any]) -> str | None:
    """ "" when the service has taken the alert, None when it has not and only the log knows why."""
    import apprise

    # images would be links to another site in every message; async_mode would hand the call to a pool of apprise's own
    asset = apprise.AppriseAsset(
        app_id="cronflow", app_desc="cronflow", app_url="", image_url_mask="", image_url_logo="", async_mode=False
    )
    service = apprise.Apprise.instantiate(delivery.urls[index], asset=asset, suppress_exceptions=True)
    if service is None:
        return "apprise does not understand this url, or lacks a module for it: `apprise --dry-run` says more"
    delivery.schemes[index] = delivery.urls[index].partition("://")[0].strip().lower()
    sender = apprise.Apprise(asset=asset)
    sender.add(service)
    kinds = {"failure": "FAILURE", "recovery": "SUCCESS", "test": "INFO"}
    body = str(order["body"])
    if not delivery.schemes[index].startswith(_NO_CHAT):
        body = _CALLS_EVERYBODY.sub("@\u200b", body)  # what a command printed shall not call a whole chat
    title, body = fitted(service, str(order["title"]), body, str(order["kind"]))
    taken = sender.notify(
        title=title,
        body=body,
        notify_type=getattr(apprise.NotifyType, kinds.get(order["kind"], "WARNING")),
        body_format=apprise.NotifyFormat.TEXT,
    )
    return "" if bool(taken) else None  # an object that is true or false, not a bool


def fitted(service: Any, title: str, body: str, kind: str) -> tuple[str, str]:
    """Title and body as long as this service takes them: apprise itself sends too much, which is refused, or cuts the tail.

    Where the URL says how to split (`?overflow=`), that is left to apprise. Limits are in characters.
    """
    if str(getattr(service.overflow_mode, "value", service.overflow_mode)) != "upstream":
        return title, body
    room = int(service.body_maxlen)
    if int(service.title_maxlen) > 0:
        title = middle_cut(title, int(service.title_maxlen))
    if int(service.title_maxlen) <= 0 or getattr(service, "overflow_amalgamate_title", False):
        room -= len(title) + 4
    return title, short(body, max(room, 1), keep="end" if kind == "failure" else "start")


def _cause(lines: Sequence[str]) -> str:
    """Why it was not sent, from what was logged: a status code, or the kind of an exception. Nothing of it is quoted."""
    for line in lines:
        if status := re.search(r"\berror=(\d{3})\b", line):
            return f"answered {status[1]}"
    told = "\n".join(line for line in lines if re.search(r"^\w+ Exception: | Reason: ", line)).lower()
    for pattern, cause in _CAUSES:
        if re.search(pattern, told):
            return cause
    return "not taken by the service"
