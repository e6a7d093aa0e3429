"""Try the alert targets, and see which alerts were sent."""

from __future__ import annotations

import os
import select
import socket
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cronflow.cli.invocation import Invocation
from cronflow.core.words import ago, count, iso, times
from cronflow.errors import CronflowError, Exit

if TYPE_CHECKING:
    from cronflow.alerts.sender import Sender
    from cronflow.core.jobs import AlertTarget

AT_ONCE = 4


def send_test(
    invocation: Invocation,
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME…", help="Targets, `[alerts.NAME]`; all without one.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All targets.")] = False,
) -> int:
    """Send a test message to alert targets now, and tell what their services answered.

    Nothing of it gets into the history. Exit status 1 if one of them did not take it. A target with `url_env` is tried with
    the variable as it is here, not as the daemon has it. `--json`: `ok`, and `alerts` with target, ok, error.
    """
    if names and everything:
        raise CronflowError("`--all` and the names of targets exclude each other", "leave one of them out", Exit.USAGE)
    targets = _chosen(invocation, names or [])
    errors = _send(invocation, targets)
    if invocation.json:
        told = [{"target": one.name, "ok": not errors[one.name], "error": errors[one.name] or None} for one in targets]
        invocation.print_json({"ok": not any(errors.values()), "alerts": told})
    else:
        for target in targets:
            error = errors[target.name]
            invocation.out(f"✗ {target.name}  not sent: {error}" if error else f"✓ {target.name}  sent")
    return 1 if any(errors.values()) else 0


def _chosen(invocation: Invocation, names: list[str]) -> list[AlertTarget]:
    known = invocation.jobs.alerts
    if not known:
        hint = "add `[alerts.ops]` with `url_file`, `url_env` or `urls` to it"
        raise CronflowError(f"`{invocation.places.file}` has no alert target", hint)
    for name in names:
        if name not in known:
            from cronflow.jobfile.suggest import did_you_mean

            hint = did_you_mean(name, known) or "there is " + ", ".join(f"`{one}`" for one in known)
            raise CronflowError(f"no alert target `{name}`", hint, Exit.NOT_FOUND)
    return [known[name] for name in dict.fromkeys(names or known)]


def _send(invocation: Invocation, targets: list[AlertTarget]) -> dict[str, str]:
    """The error of each target, empty where the message was taken."""
    from cronflow.alerts.sender import Sender, TargetError, resolve
    from cronflow.alerts.text import text

    errors: dict[str, str] = {}
    orders = []
    folder = str(invocation.places.file.parent)
    for number, target in enumerate(targets):
        try:
            urls = resolve(target, os.environ, folder)
        except TargetError as error:
            errors[target.name] = error.message
            continue
        facts = {"now": time.time(), "target": target.name, "by": _user()}
        orders.append((number, urls, *text("test", facts, socket.gethostname(), invocation.zone), "test"))
    sender = Sender(AT_ONCE)
    try:
        for sent in _deliver(sender, orders):
            errors[targets[sent.alert_id].name] = "" if sent.ok else sent.error
    finally:
        sender.close()
    return errors


def _deliver(sender: Sender, orders: list[Any]) -> list[Any]:
    """Hand the orders out, a few at a time, and wait: no longer for each than a worker has."""
    left = len(orders)
    answers: list[Any] = []
    while len(answers) < left:
        while orders and sender.submit(*orders[0]):
            orders.pop(0)
        deadline = sender.deadline()
        wait = 1.0 if deadline is None else min(1.0, max(0.0, deadline - time.monotonic()))
        select.select(sender.fds(), [], [], wait)
        answers.extend(sender.collect(time.monotonic()))
    return answers


def _user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user has no name
        return str(os.getuid())


def list_alerts(
    invocation: Invocation,
    number: Annotated[int, typer.Option("-n", metavar="N", min=1, max=1_000_000, help="How many, the newest first.")] = 20,
) -> None:
    """List the alerts of the history: when, what about, to whom, and whether they were sent.

    An alert that its service did not take waits and is tried again, at first after 30 seconds, at last every hour; it is given up
    only a day after its target has gone from the job file.
    `--json`: `alerts` with id, at, kind, target, job, run, task, tries, sent_at, given_up_at, next_try_at, error.
    """
    from cronflow.cli.screens.style import table
    from cronflow.store.lookups import newest_alerts
    from cronflow.store.queries import History

    invocation.use_zone_of_file()
    with History.open(invocation.places.database) as history:
        alerts = [_known(row._asdict()) for row in newest_alerts(history, number)]
    if invocation.json:
        invocation.print_json({"alerts": [_plain(alert, invocation.zone) for alert in alerts]})
        return
    if not alerts:
        invocation.warn("no alert yet")
        return
    invocation.out("\n".join(table([_cells(alert, invocation) for alert in alerts])))


def _known(alert: dict[str, Any]) -> dict[str, Any]:
    """What is done with and has an error was not sent, but given up."""
    given_up = alert["sent_at"] is not None and alert["error"] is not None
    return {**alert, "sent_at": None if given_up else alert["sent_at"], "given_up_at": alert["sent_at"] if given_up else None}


def _cells(alert: dict[str, Any], invocation: Invocation) -> list[str]:
    about = alert["job"] or alert["task"] or "-"
    if alert["run"] is not None:
        about = f"{alert['run']}/{alert['task'] or alert['job']}" if alert["task"] or alert["job"] else f"run {alert['run']}"
    return [invocation.clock.when(alert["at"]), alert["kind"], about, alert["target"], _fate(alert, invocation)]


def _fate(alert: dict[str, Any], invocation: Invocation) -> str:
    if alert["given_up_at"] is not None:
        return f"given up: {alert['error']}"
    if alert["sent_at"] is not None:
        if alert["sent_at"] - alert["at"] <= 60:
            return "sent"
        return f"sent {invocation.clock.when(alert['sent_at'])}, after {count(alert['tries'], 'try', 'tries')}"
    if not alert["tries"]:
        return "waiting"
    parts = ["waiting", f"tried {times(alert['tries'])}"]
    if alert["next_try_at"] is not None:
        near = ago(alert["next_try_at"], invocation.now) if invocation.tty else f"at {iso(alert['next_try_at'], invocation.zone)}"
        parts.append(f"next {near}")
    return ", ".join(filter(None, (*parts, alert["error"])))


def _plain(alert: dict[str, Any], zone: str) -> dict[str, Any]:
    keys = ("at", "sent_at", "given_up_at", "next_try_at")
    times = {key: iso(alert[key], zone) if alert[key] is not None else None for key in keys}
    return {**alert, **times}
