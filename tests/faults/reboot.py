"""The machine goes down while commands run, and comes up as another boot: what ran is lost, and dealt with as its job says."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path
from uuid import UUID

from cronflow.core.jobs import jobs_from_definition
from cronflow.core.records import AttemptRef
from tests.alerts.conftest import WebService
from tests.campaign.household import remains
from tests.campaign.ledger import Account
from tests.campaign.workload import kill
from tests.daemon.live import Live, state_of
from tests.faults import seam
from tests.faults.day import Installation, installation
from tests.faults.rows import Outcome, Row

PAGE = 4096
DOWN = 1.2
"""Seconds, so that a slot is missed."""


def run(trials: int, seed: int) -> Outcome:
    """So many reboots, each of an installation of its own."""
    dice, web, out, told, again = random.Random(seed), WebService(), Outcome(0), 0, 0
    seam.library()
    try:
        for number in range(trials):
            with installation(web, f"boot{number}", whole=False) as one:
                lost = go_down_and_up(one, dice)
                account = one.account()
                here, anew = _explain(one, lost, account)
                told, again = told + here, again + anew
            wrong = tuple(f"trial {number}: {text}" for text in account.text().splitlines())
            out += Outcome(1, account.count("lost") + account.count("missing"), account.count("twice"), wrong)
    finally:
        web.close()
    return out._replace(notes=(f"{told} attempts were lost with the machine, and told so; {again} of them were tried again",))


def go_down_and_up(one: Installation, dice: random.Random) -> set[AttemptRef]:
    """A day with a reboot in it; the attempts that may be lost."""
    live, boot = one.live, one.live.folder / "boot"
    one.load.add("long", env={"LIFE": "1"}, overlap="allow", retries=1, alert=["night"])
    live.write(one.load.jobs)
    one.hand = (*one.hand, "long")
    boot.write_text(f"{UUID(int=dice.getrandbits(128))}\n")
    env = {"LD_PRELOAD": str(seam.library()), "SEAM_BOOT": str(boot)}
    live.start(**env)
    one.ask_for_runs()
    live.started(one.promised["long"], "long")
    time.sleep(dice.uniform(0, 0.5))
    power_off(live)
    query = "SELECT run, task, n, kind FROM attempts WHERE state != 'ended'"
    lost = {AttemptRef(*row) for row in live.rows(query)}
    for path in live.places.journals.glob("*.journal"):
        _damage(path, dice)
    boot.write_text(f"{UUID(int=dice.getrandbits(128))}\n")
    time.sleep(DOWN)
    one.bring_to_end(**env)
    return lost


def power_off(live: Live) -> None:
    """End every process at once: those that could note the end of others are stopped before."""
    assert live.process is not None
    ours = [live.process.pid, *remains(live.places.journals)]
    for pid in ours:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    while held := [pid for pid in set(live.left()) - set(ours) if (one := state_of(pid)) is not None and one.state not in "ZX"]:
        for pid in held:
            kill(pid)
    for pid in ours:
        kill(pid)
    live.ended()


def _damage(journal: Path, dice: random.Random) -> None:
    """A journal is not synced: it may be as it was, older, torn, or not there."""
    how = dice.choice(("as it was", "gone", "empty", "torn"))
    if how == "gone":
        journal.unlink()
    elif how == "empty":
        journal.write_bytes(b"")
    elif how == "torn":
        data = bytearray(journal.read_bytes())
        for page in range(0, len(data), PAGE):
            if dice.random() < 0.5:
                data[page + 512 : page + PAGE] = bytes(PAGE - 512)
        journal.write_bytes(data)


def _explain(one: Installation, lost: set[AttemptRef], account: Account) -> tuple[int, int]:
    """Take out of the account what the reboot has lost; how many attempts were told so, and how many tried again.
    What was lost otherwise, or is not dealt with as its job says, stays."""
    names = {str(ref) for ref in lost}
    for kind in ("lost", "missing", "wrong"):
        for text in account.faults.pop(kind, []):
            of_boot = " ended lost " in text or (kind == "wrong" and " ended timeout " in text)  # it was just being ended
            if text.split()[0] not in names or not of_boot:
                account.add(kind, text)
    rows = {AttemptRef(*row[:4]): row[4] for row in one.live.rows("SELECT run, task, n, kind, result FROM attempts")}
    again = 0
    for ref in sorted(lost):
        retries = _retries(one.live, ref)
        tried = ref._replace(n=ref.n + 1) in rows
        again += tried
        if rows[ref] == "lost" and ref.kind == "command" and tried != (ref.n <= retries):
            account.add("wrong", f"{ref} was lost, `retries` is {retries}, and it {'was' if tried else 'was not'} tried again")
    _told_in_one_alert(one, account)
    return sum(rows[ref] == "lost" for ref in lost), again


def _retries(live: Live, ref: AttemptRef) -> int:
    query = "SELECT body FROM definitions JOIN runs ON digest = definition WHERE id = ?"
    jobs = jobs_from_definition(str(live.one(query, ref.run)))
    return jobs[ref.task.partition("[")[0]].retries


def _told_in_one_alert(one: Installation, account: Account) -> None:
    """What was interrupted and what was missed stand in the same alert."""
    rows = one.live.rows("SELECT json_extract(facts, '$.slots') FROM alerts WHERE kind = 'missed' AND target = 'night'")
    if len(rows) != 1 or not rows[0][0]:
        account.add("wrong", f"not one alert of missed slots: {rows}")
    said = [text["message"] for text in one.arrived("/night")]
    if not any("Interrupted by the reboot:" in text and f"long run {one.promised['long']}" in text for text in said):
        account.add("lost", f"no alert tells of the reboot: {said}")


ROWS = (Row("reboot", "a reboot while commands run, with and without what the keeper had noted", 20, 4, run),)
