"""`cronflow reload`."""

from __future__ import annotations

from cronflow.cli import client
from cronflow.cli.invocation import Invocation
from cronflow.core.words import listing
from cronflow.errors import CronflowError, JobFileError

_WORDS = {"added": "added", "removed": "removed", "edited": "changed"}


def reload(invocation: Invocation) -> None:
    """Make the daemon read the job file again, now.

    Runs that go on end under the definition they started with. A file with errors is refused, the one before stays in
    force: exit status 1.
    """
    with client.connect(invocation.places, "nothing was reloaded") as daemon:
        try:
            changed = daemon.ask("reload", words=invocation.words)["changed"]
        except CronflowError as refusal:
            _draw_problems(invocation, refusal)
            raise
    if invocation.json:
        invocation.print_json({"changed": changed})
        return
    parts = [f"{_WORDS[kind]} {listing(names)}" for kind in _WORDS if (names := changed.get(kind))]
    invocation.out(f"reloaded: {'; '.join(parts)}" if parts else "reloaded: the jobs are what they were")


def _draw_problems(invocation: Invocation, refusal: CronflowError) -> None:
    """What the daemon refuses has places in the file: show these, where the caller finds them too."""
    if refusal.exit_status != 1:
        return
    try:
        _ = invocation.reading
    except JobFileError as broken:
        if not invocation.json:
            invocation.warn("the job file in force stays the one before")
        raise broken from None
