"""A crash, a full disk or a defective one at every single call with which the daemon and its keeper change anything."""

from __future__ import annotations

import errno
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count, groupby
from pathlib import Path
from typing import NamedTuple

from tests.alerts.conftest import WebService
from tests.campaign.ledger import Account
from tests.faults import rows, seam
from tests.faults.day import Installation, installation, kill_daemon, template
from tests.faults.rows import Outcome, Row
from tests.faults.seam import Effect, Seam

FULL_FOR = 0.5
"""Seconds for which a disk goes on to fail after the daemon has said so."""
SAID_WITHIN = 15.0
FEW = 30
"""Fewer trials are all of the same scene: it takes some seconds to learn what can happen in one."""
TRIES = 3
"""No day is quite like the one before: a call that is not reached again may be in the next one."""
EDGE, EVERY = 2, 250
"""Of writes to one file in a row: the first and the last EDGE of them, and each one in EVERY. (Between two syncs there is nothing
that a crash could tell apart; the power cut looks at each of them.)"""


class Place(NamedTuple):
    """Where in which scene something happens: at the call `count` of a role."""

    scene: str
    effect: Effect

    def __str__(self) -> str:
        return f"{self.scene}: {self.effect}"


# ---- scenes ---------------------------------------------------------------------------------------------------------------


def birth(_one: Installation, _template: Path) -> None:
    """The first start in an empty folder."""


def day(one: Installation, state: Path) -> None:
    """A start after some seconds in which nobody was there."""
    one.take_state(state)


def heir(one: Installation, state: Path) -> None:
    """A start after a daemon was killed while commands ran."""
    one.take_state(state)
    one.live.start()
    one.ask_for_runs()
    one.live.started(one.promised["late"], "late")
    kill_daemon(one.live)


SCENES: dict[str, Callable[[Installation, Path], None]] = {"birth": birth, "day": day, "heir": heir}


class Stage:
    """What all trials of a campaign share: a service that takes the alerts, and the state folder from which days begin."""

    def __init__(self, tape: int = 4 << 20) -> None:
        """`tape`: the bytes that each trial can write down."""
        seam.library()
        self.tape = tape
        self.web = WebService()
        self.folder = Path(tempfile.mkdtemp(prefix="faults-"))
        self.template = template(self.folder, self.web)
        self.count = count(1)

    @contextmanager
    def installation(self, scene: str) -> Iterator[tuple[Installation, Seam]]:
        """One that is ready for its scene, and its seam."""
        number = next(self.count)
        with installation(self.web, f"trial{number}", whole=scene == "day") as one:
            SCENES[scene](one, self.template)
            shared = Seam(self.folder / f"seam{number}", one.live.state, self.tape)
            try:
                yield one, shared
            finally:
                shared.close()

    def close(self) -> None:
        """Leave nothing."""
        self.web.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def places(self, scene: str) -> list[Place]:
        """Every call of a scene to which nothing happens."""
        with self.installation(scene) as (one, shared):
            play(one, shared)
            shared.heal()
            assert not shared.hit
            here = f"{one.live.folder}/"
            found = [Place(scene, it._replace(path=it.path.removeprefix(here))) for it in shared.effects()]
            one.bring_to_end()
            account = one.account()
            assert not account.faults, account.text()
        return found


def play(one: Installation, shared: Seam) -> None:
    """The day until its end, or until it is over with it."""
    one.live.launch(**shared.env)
    if one.up() and one.ask_for_runs() and one.wait(one.day_done) and one.live.alive():
        one.live.signal(signal.SIGTERM)
        one.live.ended()


def thinned(places: Iterable[Place]) -> list[Place]:
    """Without most of the writes that follow writes to the same file."""
    kept = []
    for _, group in groupby(places, lambda place: (place.effect.role, place.effect.call, place.effect.path)):
        alike = list(group)
        if len(alike) > 2 * EDGE and alike[0].effect.call == "pwrite":
            alike = alike[:EDGE] + alike[EDGE + EVERY : -EDGE : EVERY] + alike[-EDGE:]
        kept += alike
    return kept


# ---- trials ---------------------------------------------------------------------------------------------------------------


def crash(stage: Stage, place: Place) -> Account | None:
    """The process that makes this call is killed instead; None if it never came to it."""
    with stage.installation(place.scene) as (one, shared):
        shared.arm(place.effect.role, place.effect.count, seam.KILL)
        play(one, shared)
        if not shared.hit:
            return None
        if place.effect.role == "daemon":
            assert one.live.ended() == -signal.SIGKILL
        elif not one.live.alive() and (status := one.live.ended()):
            one.wrong.append(f"the daemon ended with {status}")
        one.bring_to_end()
        account = one.account()
    if place.effect.role == "child":
        _forgive(account, "signal 9")
    return account


def failing(number: int, lasting: bool) -> Callable[[Stage, Place], Account | None]:
    """Trials in which this call fails, and all others that would then; or it alone."""

    def trial(stage: Stage, place: Place) -> Account | None:
        with stage.installation(place.scene) as (one, shared):
            shared.arm(place.effect.role, place.effect.count, seam.FAIL if lasting else seam.FAIL_ONCE, number)
            said = suffer(one, shared, lasting)
            lives = one.live.alive()
            if said is None:
                return None
            shared.heal()
            if lasting and not said:
                one.wrong.append("a daemon on a disk that does not work says nothing of it")
            one.bring_to_end()
            account = one.account()
            _told_once(one, account, lasting and lives)
        _forgive(account, "(no_log)", "(disk_full)", "(no_process)", "exit 126")
        return account

    return trial


def suffer(one: Installation, shared: Seam, lasting: bool) -> bool | None:
    """The day until the disk has failed for a while; whether the daemon told of it. None where the day ends before."""
    one.live.launch(**shared.env)
    begun = one.up()
    if begun:
        one.ask_for_runs()
        one.wait(lambda: shared.hit or one.day_done())
    if not shared.hit:
        assert one.live.alive(), one.live.log
        return None
    end = time.monotonic() + (SAID_WITHIN if lasting else 0.0)
    said = False
    while not said and one.live.alive() and time.monotonic() < end:
        said = one.has_problems()
        time.sleep(0.05)
    time.sleep(FULL_FOR if one.live.alive() else 0.0)
    if begun and not one.live.alive():
        one.wrong.append(f"the daemon ended with {one.live.ended()}: {one.live.log[-1500:]}")
    elif not one.live.alive():
        said = True
        if one.live.ended() != 1 or "\nerror: " not in f"\n{one.live.log}":
            one.wrong.append(f"the daemon ended with {one.live.ended()}: {one.live.log[-1500:]}")
    return said


def _forgive(account: Account, *reasons: str) -> None:
    """A command that never began, and is told so, with the reason that the fault gave."""
    kept = [text for text in account.faults.pop("missing", []) if not any(reason in text for reason in reasons)]
    for text in kept:
        account.add("missing", text)


def _told_once(one: Installation, account: Account, must: bool) -> None:
    """No trouble is told twice, and none is left. `must`: there is one, of which there has to be an alert."""
    rows = one.live.rows("SELECT facts FROM alerts WHERE kind = 'system'")
    if must and not rows:
        account.add("lost", "no alert tells of the disk")
        account.lost += 1
    if len(rows) > len(set(rows)):
        account.add("twice", f"alerts: {rows}")
    if left := one.live.rows("SELECT key, message FROM troubles"):
        account.add("wrong", f"trouble is left: {left}")


# ---- campaigns ------------------------------------------------------------------------------------------------------------


def campaign(
    trial: Callable[[Stage, Place], Account | None], chosen: Callable[[Place], bool], first: str
) -> Callable[[int, int], Outcome]:
    """So many trials, spread evenly over all places that are `chosen`; 0: at each. FEW are all of one scene, seed 1: `first`."""

    def run(trials: int, seed: int) -> Outcome:
        stage = Stage()
        try:
            order = list(SCENES)
            played = order if not 0 < trials < FEW else [order[(order.index(first) + seed - 1) % len(order)]]
            every = [place for scene in played for place in stage.places(scene)]
            places = [place for place in thinned(every) if chosen(place)]
            note = f"{len(every):,} calls of {len(played)} scenes, {len(places):,} of them to be tried"
            return _tried(stage, trial, _spread(places, trials, seed), note)
        finally:
            stage.close()

    return run


def _spread(places: list[Place], trials: int, seed: int) -> list[Place]:
    if not trials or trials >= len(places):
        return places
    offset = random.Random(seed).random()
    return [places[int((number + offset) * len(places) / trials)] for number in range(trials)]


def _tried(stage: Stage, trial: Callable[[Stage, Place], Account | None], places: list[Place], note: str) -> Outcome:
    out = Outcome(0)
    unreached = 0
    with ThreadPoolExecutor(rows.at_once) as pool:
        for number, part in enumerate(pool.map(lambda place: _one(stage, trial, place), places), 1):
            if part is None:
                unreached += 1
                continue
            out += part
            if number % 100 == 0:
                print(f"{number} of {len(places)}, {len(out.wrong)} wrong", file=sys.stderr, flush=True)
    if unreached:
        note += f"; {unreached} were not reached again"
    return out._replace(notes=(note,))


def _one(stage: Stage, trial: Callable[[Stage, Place], Account | None], place: Place) -> Outcome | None:
    account = None
    for _ in range(TRIES):
        try:
            account = trial(stage, place)
        except AssertionError as fault:
            account = Account()
            account.add("wrong", f"did not come to its end: {fault}")
        if account is not None:
            break
    else:
        return None
    wrong = tuple(f"{place}: {text}" for text in account.text().splitlines())
    for text in wrong:
        print(text, file=sys.stderr, flush=True)
    return Outcome(1, account.lost, account.count("twice"), wrong)


def _disk(name: str, fault: str, number: int, lasting: bool, first: str) -> Row:
    return Row(name, fault, 0, 4, campaign(failing(number, lasting), lambda place: place.effect.fails_with(number), first), 100)


ROWS = (
    Row("crash", "a crash at the k-th call of the daemon or its keeper", 0, 8, campaign(crash, lambda _: True, "heir"), 100),
    _disk("enospc", "a full disk (ENOSPC) from the k-th call on, until there is room", errno.ENOSPC, True, "day"),
    _disk("eio", "an error of the disk (EIO) at the k-th call", errno.EIO, False, "heir"),
    _disk("eio-lasting", "a defective disk (EIO) from the k-th call on, until it works again", errno.EIO, True, "birth"),
)
