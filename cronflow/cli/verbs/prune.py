"""`cronflow prune`."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from cronflow.cli import client
from cronflow.cli.client import NotRunningError
from cronflow.cli.invocation import Invocation
from cronflow.core.words import count, listing
from cronflow.errors import CronflowError, Exit

if TYPE_CHECKING:
    from cronflow.daemon.lock import Held


def prune(
    invocation: Invocation,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell how much there is to remove, and remove nothing.")] = False,
) -> None:
    """Remove runs and output that are past `keep_runs` and `keep_logs`, now.

    The daemon does this once an hour by itself. It does it here too, where it is running, between the starts of jobs;
    Ctrl-C then only ends the waiting.
    """
    tally = _expected(invocation) if dry_run else _removed(invocation)
    if invocation.json:
        invocation.print_json({"dry_run": dry_run, **tally})
        return
    said = (
        count(tally["runs"], "run"),
        f"the output of {count(tally['logs'], 'run')}",
        count(tally["acts"], "act of a person", "acts of people"),
        count(tally["alerts"], "alert"),
    )
    told = [words for words, number in zip(said, tally.values(), strict=True) if number]
    verb = "would remove" if dry_run else "removed"
    invocation.out(f"{verb} {listing(told, len(told))}" if told else "there is nothing to remove")


def _removed(invocation: Invocation) -> Mapping[str, int]:
    try:
        with client.connect(invocation.places) as daemon:
            daemon.ask("prune", words=invocation.words, file=str(invocation.places.file))
            return _followed(invocation, daemon)
    except NotRunningError:
        return _here(invocation)


def _expected(invocation: Invocation) -> Mapping[str, int]:
    """What would be removed by the job file as it is now."""
    from cronflow.daemon.upkeep.retention import count_round
    from cronflow.store.queries import History

    with History.open(invocation.places.database) as history:
        return count_round(history.db, invocation.places, invocation.jobs.settings, invocation.now).as_plain()


def _followed(invocation: Invocation, daemon: client.Client) -> Mapping[str, int]:
    """Wait until the daemon has done its round."""
    shown = 0.0
    try:
        for event in daemon.events(1.0):
            if event is None:
                continue
            if event.get("failed"):
                raise CronflowError(f"the daemon could not go on: {event['failed']}", "it tries again in a minute")
            if event.get("event") != "pruned":
                break
            if event["over"]:
                return {key: int(event[key]) for key in ("runs", "logs", "acts", "alerts")}
            if invocation.tty and not invocation.json and time.monotonic() - shown > 5.0:
                shown = time.monotonic()
                invocation.warn(f"removed {count(event['runs'], 'run')} so far …")
    except KeyboardInterrupt:
        invocation.warn("no longer waiting: the daemon goes on removing")
        raise
    hint = "what it has removed is gone; when it is started again it goes on"
    raise CronflowError("the daemon has stopped before it was done", hint, Exit.NOT_RUNNING)


def _here(invocation: Invocation) -> Mapping[str, int]:
    """Without a daemon: prune here, while nobody else can become the daemon."""
    from cronflow.cli.verbs.run import own_name
    from cronflow.core.effects import Effects
    from cronflow.core.records import Act
    from cronflow.daemon.upkeep.retention import Tally, do_round
    from cronflow.store.queries import History
    from cronflow.store.store import Store

    settings, tally = invocation.jobs.settings, Tally()
    if not invocation.places.database.exists():
        return tally.as_plain()
    History.open(invocation.places.database).close()  # a damaged one is the daemon's to move aside, and to tell of
    with _lock(invocation):
        store = Store.open(invocation.places.state)
        if store.copied is not None:
            invocation.warn(f"the database has a new format; as it was it is kept in `{store.copied}`")
        try:
            store.save(Effects.saving(Act(invocation.now, own_name(), "prune", invocation.words)))
            for wait in do_round(store, invocation.places, settings, invocation.now, tally):
                time.sleep(wait)
        except sqlite3.DatabaseError as error:
            raise CronflowError(f"the database cannot be worked on: {error}", "is the disk full? `df -h`") from None
        finally:
            store.close()
    return tally.as_plain()


def _lock(invocation: Invocation) -> Held:
    from cronflow.daemon.lock import take_lock

    lock = take_lock(invocation.places, 1.0)
    if lock is None:
        raise CronflowError(f"another process holds `{invocation.places.lock}`", "try again: it is starting, or just ending")
    return lock
