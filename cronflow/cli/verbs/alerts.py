"""Try the alert targets, and see which alerts were sent."""

from __future__ import annotations

import os
import select
import socket
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cronflow.cli.invocation import Caller
from cronflow.core.words import ago, clock, count, iso, times
from cronflow.errors import CronflowError, Exit
from cronflow.facts.known import use_zone_of_file

if TYPE_CHECKING:
    from cronflow.alerts.sender import Outbox
    from cronflow.core.jobs import AlertTarget

AT_ONCE = 4
_COLUMNS = "id, at, kind, target, job, run, task, tries, sent_at, next_try_at, error"


# ---- test ----------------------------------------------------------------------------------------------------------------


def send_test(
    caller: Caller,
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME…", help="Targets, `[alerts.NAME]`; all without one.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All targets.")] = False,
) -> int:
    """Send a test message to alert targets now, and tell what their services answered.

    Nothing of it gets into the history. Exit status 1 if one of them did not take it. A target with `url_env` is tried with
    the variable as it is here, not as the daemon has it. `--json`: `ok`, and `alerts` with target, ok, error.
    """
    if names and everything:
        raise CronflowError("`--all` and the names of targets exclude each other", "leave one of them out", Exit.USAGE)
    targets = _chosen(caller, names or [])
    errors = _send(caller, targets)
    if caller.json:
        told = [{"target": one.name, "ok": not errors[one.name], "error": errors[one.name] or None} for one in targets]
        caller.answer({"ok": not any(errors.values()), "alerts": told})
    else:
        for target in targets:
            error = errors[target.name]
            caller.out(f"✗ {target.name}  not sent: {error}" if error else f"✓ {target.name}  sent")
    return 1 if any(errors.values()) else 0


def _chosen(caller: Caller, names: list[str]) -> list[AlertTarget]:
    known = caller.jobs.alerts
    if not known:
        hint = "add `[alerts.ops]` with `url_file`, `url_env` or `urls` to it"
        raise CronflowError(f"`{caller.places.file}` has no alert target", hint)
    for name in names:
        if name not in known:
            from cronflow.jobfile.suggest import did_you_mean

            hint = did_you_mean(name, known) or "there is " + ", ".join(f"`{one}`" for one in known)
            raise CronflowError(f"no alert target `{name}`", hint, Exit.NOT_FOUND)
    return [known[name] for name in dict.fromkeys(names or known)]


def _send(caller: Caller, targets: list[AlertTarget]) -> dict[str, str]:
    """The error of each target, empty where the message was taken."""
    from cronflow.alerts.sender import Outbox, TargetError, resolve
    from cronflow.alerts.text import text

    errors: dict[str, str] = {}
    orders = []
    folder = str(caller.places.file.parent)
    for number, target in enumerate(targets):
        try:
            urls = resolve(target, os.environ, folder)
        except TargetError as error:
            errors[target.name] = error.message
            continue
        facts = {"now": time.time(), "target": target.name, "by": _user()}
        orders.append((number, urls, *text("test", facts, socket.gethostname(), caller.zone), "test"))
    outbox = Outbox(AT_ONCE)
    try:
        for sent in _deliver(outbox, orders):
            errors[targets[sent.alert_id].name] = "" if sent.ok else sent.error
    finally:
        outbox.close()
    return errors


def _deliver(outbox: Outbox, orders: list[Any]) -> list[Any]:
    """Hand the orders out, a few at a time, and wait: no longer for each than a worker has."""
    left = len(orders)
    answers: list[Any] = []
    while len(answers) < left:
        while orders and outbox.submit(*orders[0]):
            orders.pop(0)
        deadline = outbox.deadline()
        wait = 1.0 if deadline is None else min(1.0, max(0.0, deadline - time.monotonic()))
        select.select(outbox.fds(), [], [], wait)
        answers.extend(outbox.collect(time.monotonic()))
    return answers


def _user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user has no name
        return str(os.getuid())


# ---- list ----------------------------------------------------------------------------------------------------------------


def list_alerts(
    caller: Caller,
    number: Annotated[int, typer.Option("-n", metavar="N", min=1, max=1_000_000, help="How many, the newest first.")] = 20,
) -> None:
    """List the alerts of the history: when, what about, to whom, and whether they were sent.

    An alert that its service did not take waits and is tried again, at first after 30 seconds, at last every hour; it is given up
    only a day after its target has gone from the job file.
    `--json`: `alerts` with id, at, kind, target, job, run, task, tries, sent_at, given_up_at, next_try_at, error.
    """
    from cronflow.store.queries import History

    use_zone_of_file(caller)
    with History.open(caller.places.database) as history:
        rows = history.db.execute(f"SELECT {_COLUMNS} FROM alerts ORDER BY id DESC LIMIT ?", (number,)).fetchall()
    alerts = [_known(dict(zip(_COLUMNS.split(", "), row, strict=True))) for row in rows]
    if caller.json:
        caller.answer({"alerts": [_plain(alert, caller.zone) for alert in alerts]})
        return
    if not alerts:
        caller.note("no alert yet")
        return
    cells = [_cells(alert, caller) for alert in alerts]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        caller.out("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _known(alert: dict[str, Any]) -> dict[str, Any]:
    """What is done with and has an error was not sent, but given up."""
    given_up = alert["sent_at"] is not None and alert["error"] is not None
    return {**alert, "sent_at": None if given_up else alert["sent_at"], "given_up_at": alert["sent_at"] if given_up else None}


def _cells(alert: dict[str, Any], caller: Caller) -> list[str]:
    at = clock(alert["at"], caller.now, caller.zone) if caller.tty else iso(alert["at"], caller.zone)
    about = alert["job"] or alert["task"] or "-"
    if alert["run"] is not None:
        about = f"{alert['run']}/{alert['task'] or alert['job']}" if alert["task"] or alert["job"] else f"run {alert['run']}"
    return [at, alert["kind"], about, alert["target"], _fate(alert, caller)]


def _fate(alert: dict[str, Any], caller: Caller) -> str:
    if alert["given_up_at"] is not None:
        return f"given up: {alert['error']}"
    if alert["sent_at"] is not None:
        late = alert["sent_at"] - alert["at"] > 60
        if not late:
            return "sent"
        at = clock(alert["sent_at"], caller.now, caller.zone) if caller.tty else iso(alert["sent_at"], caller.zone)
        return f"sent {at}, after {count(alert['tries'], 'try', 'tries')}"
    if not alert["tries"]:
        return "waiting"
    parts = ["waiting", f"tried {times(alert['tries'])}"]
    if alert["next_try_at"] is not None:
        near = ago(alert["next_try_at"], caller.now) if caller.tty else f"at {iso(alert['next_try_at'], caller.zone)}"
        parts.append(f"next {near}")
    return ", ".join(filter(None, (*parts, alert["error"])))


def _plain(alert: dict[str, Any], zone: str) -> dict[str, Any]:
    keys = ("at", "sent_at", "given_up_at", "next_try_at")
    times = {key: iso(alert[key], zone) if alert[key] is not None else None for key in keys}
    return {**alert, **times}
