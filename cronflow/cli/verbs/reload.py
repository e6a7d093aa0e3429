"""`cronflow reload`."""

from __future__ import annotations

from cronflow.cli import client
from cronflow.cli.invocation import Caller
from cronflow.core.words import listing
from cronflow.errors import CronflowError, JobFileError

_WORDS = {"added": "added", "removed": "removed", "edited": "changed"}


def reload(caller: Caller) -> None:
    """Make the daemon read the job file again, now.

    Runs that go on end under the definition they started with. A file with errors is refused, the one before stays in
    force: exit status 1.
    """
    with client.connect(caller.places, "nothing was reloaded") as daemon:
        try:
            changed = daemon.ask("reload", words=caller.words)["changed"]
        except CronflowError as refusal:
            _draw_problems(caller, refusal)
            raise
    if caller.json:
        caller.answer({"changed": changed})
        return
    parts = [f"{_WORDS[kind]} {listing(names)}" for kind in _WORDS if (names := changed.get(kind))]
    caller.out(f"reloaded: {'; '.join(parts)}" if parts else "reloaded: the jobs are what they were")


def _draw_problems(caller: Caller, refusal: CronflowError) -> None:
    """What the daemon refuses has places in the file: show these, where this caller finds them too."""
    if refusal.exit_status != 1:
        return
    try:
        _ = caller.reading
    except JobFileError as broken:
        if not caller.json:
            caller.note("the job file in force stays the one before")
        raise broken from None
