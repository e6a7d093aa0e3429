"""The database locked, cut, bit by bit another one, deleted, or replaced, under a daemon that is stopped and under one that runs.

Each trial has a folder of its own, a copy of one that a daemon has lived in. What must hold: the daemon neither ends nor hangs,
the job of each second goes on without a slot twice, a run by hand succeeds, nobody sees a traceback, and what was moved aside is
told in one alert. SQLite has no checksums: what neither it nor we can notice is counted in the notes.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from cronflow.cli import client
from cronflow.errors import CronflowError
from tests.daemon.live import Live, job, living
from tests.faults.rows import Outcome, Row

AT_ONCE = 4
PAGE = 4096
HEADER = 100
LIVE_TABLES = ("cursors", "runs", "tasks", "attempts", "links", "definitions", "meta", "troubles", "health", "run_slots")
LOCKED_FOR = 60.0
FILE = "cronflow.db"

Harm = Callable[[Live, random.Random], str]


class Verdict(NamedTuple):
    """What came of one trial: whether the damage was noticed, slots that were there twice, and what does not hold."""

    noticed: bool
    twice: int
    wrong: tuple[str, ...]
    changed: bool = False
    """Not noticed, and the history says something else than before."""


def jobs(folder: Path) -> str:
    """A job for each second, and something of every kind that goes on without a process."""
    record = {"HOUSE": str(folder)}
    text = job("tick", 'echo "$CRONFLOW_SCHEDULED_AT" >> "$HOUSE/record"', schedule="* * * * * *", env=record, overlap="allow")
    text += job("a", "echo $CRONFLOW_DATE", every="1d") + job("bad", "false", every="1d")
    text += job("after", "true", after={"bad": "failure"}) + job("other", "true", after=["a", "bad"])
    text += job("late", "exit 1", retries=3, retry_delay="10h", every="1d") + job("many", "true", matrix={"X": ["1", "2"]})
    text += job("gate", "true", approve="go?", every="1d", deadline="10h") + job("held", "true", every="1d")
    return text + job("files", "true", watch=str(folder / "in" / "*")) + '[alerts.ops]\nurls = ["json://127.0.0.1:9"]\n'


def build(live: Live) -> None:
    """A state folder in which there has been a daemon, with a row in every table."""
    live.path("in").mkdir()
    live.path("in/x").touch()
    live.start(jobs(live.folder))
    for name in ("a", "bad", "many"):
        live.final(live.run(name))
    for name in ("gate", "late"):
        live.run(name)
    live.ask("pause", jobs=["held"], reason="quiet", until=time.time() + 1e6)
    live.ask("skip", jobs=["bad"], slots=2)
    live.until(lambda: live.one("SELECT count(*) FROM tasks WHERE state = 'retrying'"))
    live.until(lambda: live.one("SELECT count(*) FROM run_slots WHERE root = 'tick'"))
    assert live.terminate() == 0


@contextlib.contextmanager
def houses(count: int) -> Iterator[list[tuple[Live, Path]]]:
    """So many folders with a daemon to be started in each, and a copy of the state of each."""
    with contextlib.ExitStack() as stack:
        made = [stack.enter_context(living()) for _ in range(count)]
        kept = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cronflow-test-")))
        for number, live in enumerate(made):
            build(live)
            shutil.copytree(live.state, kept / str(number))
        yield [(live, kept / str(number)) for number, live in enumerate(made)]


def campaign(harm: Harm, sure: bool = False) -> Callable[[int, int], Outcome]:
    """Trials with one harm; every other one on a daemon that runs. `sure`: it is noticed at the next commit at the latest."""

    def run(trials: int, seed: int) -> Outcome:
        at_once = min(AT_ONCE, trials)
        with houses(at_once) as places, ThreadPoolExecutor(at_once) as pool:

            def one(lane: int) -> list[Verdict]:
                live, kept = places[lane]
                mine = range(lane, trials, at_once)
                return [trial(live, kept, harm, sure, number % 2 == 1, f"{seed} {number}") for number in mine]

            found = [verdict for lane in pool.map(one, range(at_once)) for verdict in lane]
        return outcome(found)

    return run


def outcome(found: list[Verdict]) -> Outcome:
    wrong = tuple(line for verdict in found for line in verdict.wrong)
    seen, changed = sum(one.noticed for one in found), sum(one.changed for one in found)
    left = len(found) - seen
    note = f"noticed and moved aside: {seen} of {len(found)}; not noticeable, harmless: {left}"
    note += f" (in {changed} of these the history tells another word or number)" if changed else ""
    return Outcome(len(found), 0, sum(one.twice for one in found), wrong, (note,))


def trial(live: Live, kept: Path, harm: Harm, sure: bool, running: bool, seed: str) -> Verdict:
    """One trial, in the folder of a daemon as it was kept."""
    shutil.rmtree(live.state)
    shutil.copytree(kept, live.state)
    (live.folder / "daemon.log").write_text("")
    live.path("record").unlink(missing_ok=True)
    dice = random.Random(seed)
    wrong: list[str] = []
    what, before = "", history(live)
    try:
        if running:
            live.start()
        what = harm(live, dice)
        if not running:
            look(live, dice, wrong)
            live.start()
        goes_on(live)
        if sure and not noticed(live):
            wrong.append("commits later it is still not noticed")
        if running:  # what its cache still knew is read from the file now
            live.signal(dice.choice((9, 15)))
            live.ended()
            live.start()
            goes_on(live)
        assert (status := live.terminate()) == 0, f"the daemon ends with {status}"
    except (AssertionError, OSError, sqlite3.Error, CronflowError) as fault:
        wrong.append(f"{type(fault).__name__}: {fault}"[-1500:])
    wrong += judge(live)
    where = f"seed {seed}, {'running' if running else 'stopped'}, {what}: "
    twice = sum(count - 1 for count in slots(live).values())
    if live.alive():
        live.signal(9)
        live.ended()
    live.process = None
    seen = noticed(live)
    return Verdict(seen, twice, tuple(where + line for line in wrong), not seen and not before <= history(live))


def goes_on(live: Live) -> None:
    """The schedule goes on, and people are served."""
    before = len(slots(live))
    log = live.places.log(live.run("a", only=True), "a", 1)
    live.until(lambda: log.exists() and log.read_text(), "a run by hand does not run")
    live.until(lambda: len(slots(live)) > before, "the schedule does not go on")


def look(live: Live, dice: random.Random, wrong: list[str]) -> None:
    """Now and then somebody looks while no daemon runs: whatever is told, it is told in a sentence."""
    if dice.random() < 0.2:
        for words in (("status", "--json"), ("runs",)):
            answer = live.cli(*words)
            if answer.status not in (0, 1, 3) or "Traceback" in answer.out + answer.err:
                wrong.append(f"`{' '.join(words)}` says {answer}")


def judge(live: Live) -> list[str]:
    """What does not hold after a trial."""
    wrong = [f"the daemon says `{word}`: {live.log[-1500:]}" for word in ("Traceback", "defect") if word in live.log]
    told = live.log.count("a new one takes its place")
    if told > 1 or (told == 0 and moved(live)):
        wrong.append(f"{told} times a new database: {live.log[-1500:]}")
    with contextlib.suppress(sqlite3.Error):
        alerts = live.one("SELECT count(*) FROM alerts WHERE kind = 'system' AND facts LIKE '%a new one takes its place%'")
        if alerts != told:
            wrong.append(f"{alerts} alerts of {told} new databases")
    return wrong


def noticed(live: Live) -> bool:
    """Whether a daemon has told of the damage and begun a new database."""
    return bool(moved(live)) or "was deleted" in live.log


def moved(live: Live) -> list[Path]:
    return [path for path in live.state.glob(f"{FILE}.damaged-*") if not path.name.endswith(("-wal", "-shm"))]


def slots(live: Live) -> Counter[str]:
    """The slots of the job of each second, as it has written them down."""
    record = live.path("record")
    return Counter(record.read_text().split()) if record.exists() else Counter()


def history(live: Live) -> set[tuple[object, ...]]:
    """What the history says of runs that had ended before a trial."""
    found: set[tuple[object, ...]] = set()
    with contextlib.suppress(sqlite3.Error):
        for table in ("runs", "tasks", "attempts"):
            ended = "WHERE finished_at IS NOT NULL AND reason IS NOT 'daemon_down'"
            found |= {(table, *row) for row in live.rows(f"SELECT * FROM {table} {ended}")}
    return found


# ---- harms ----------------------------------------------------------------------------------------------------------------


def cut(live: Live, dice: random.Random) -> str:
    """At any length: at a page, within one, to nothing."""
    path = live.places.database
    size = path.stat().st_size
    kind = dice.randrange(4)
    length = (0, dice.randrange(size // PAGE) * PAGE, dice.randrange(40) * PAGE, dice.randrange(size))[kind]
    os.truncate(path, length)
    return f"cut to {length} of {size} bytes"


def flip(live: Live, dice: random.Random) -> str:
    """One bit: of the head of the file, of a page of a table that is read at each start, of any page that is not empty."""
    path = live.places.database
    raw = path.read_bytes()
    kind = dice.randrange(3)
    if kind == 0:
        place = dice.randrange(HEADER)
    else:
        pages = live_pages(path) if kind == 1 else [page for page in range(len(raw) // PAGE) if any(raw[page * PAGE :][:PAGE])]
        begin = dice.choice(pages) * PAGE
        place = dice.choice([place for place in range(begin, begin + PAGE) if raw[place]])
    bit = dice.randrange(8)
    with open(path, "r+b") as file:
        file.seek(place)
        file.write(bytes([raw[place] ^ (1 << bit)]))
    return f"bit {bit} of byte {place}"


def live_pages(path: Path) -> list[int]:
    """The root pages of the tables that are read at each start, and of their indexes."""
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
        names = ", ".join(f"'{name}'" for name in LIVE_TABLES)
        sql = f"SELECT rootpage FROM sqlite_master WHERE tbl_name IN ({names}) AND rootpage > 0"
        return [int(row[0]) - 1 for row in db.execute(sql)]


def delete(live: Live, dice: random.Random) -> str:
    """The file alone, or all that belongs to it."""
    whole = dice.random() < 0.5
    for suffix in ("", "-wal", "-shm") if whole else ("",):
        live.places.database.with_name(FILE + suffix).unlink(missing_ok=True)
    return "deleted with its log" if whole else "deleted"


def replace(live: Live, dice: random.Random) -> str:
    """Another program's database or text is renamed to it, or copied over it."""
    other, path = live.path("other"), live.places.database
    other.unlink(missing_ok=True)
    kind = dice.choice(("text", "empty", "database", "numbered"))
    if kind in ("text", "empty"):
        other.write_text("cronflow\n" * 1000 if kind == "text" else "")
    else:
        with contextlib.closing(sqlite3.connect(other)) as db:
            db.executescript(f"CREATE TABLE places (url TEXT); PRAGMA user_version = {77 if kind == 'numbered' else 0};")
            db.executemany("INSERT INTO places VALUES (?)", [("x" * 500,)] * 200)
            db.commit()
    how = dice.choice(("renamed", "copied"))
    if how == "renamed":
        other.rename(path)
    else:
        with open(path, "r+b") as file:
            file.truncate(0)
            file.write(other.read_bytes())
    return f"{kind} {how}"


# ---- a lock ---------------------------------------------------------------------------------------------------------------


def locked(trials: int, _seed: int) -> Outcome:
    """All trials at once, each in a folder of its own: another program holds the database for a minute (at the counts of a test
    run for a few seconds)."""
    seconds = LOCKED_FOR if trials > AT_ONCE else 3.0
    worst: list[float] = []
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(trials) as pool:
        lives = [stack.enter_context(living()) for _ in range(trials)]
        found = list(pool.map(lambda pair: lock_trial(pair[1], pair[0] % 2 == 1, seconds, worst), enumerate(lives)))
    note = f"locked for {seconds:g} s; the slowest answer of a daemon meanwhile took {max(worst, default=0.0):.2f} s"
    return Outcome(trials, 0, sum(one.twice for one in found), tuple(line for one in found for line in one.wrong), (note,))


def lock_trial(live: Live, running: bool, seconds: float, worst: list[float]) -> Verdict:
    """A daemon whose database somebody else locks, or one that is started then: it waits, answers, and goes on afterwards."""
    wrong: list[str] = []
    try:
        build(live)
        if running:
            live.start()
        holder = sqlite3.connect(live.places.database, isolation_level=None, check_same_thread=False)
        if not running:
            holder.execute("PRAGMA locking_mode = EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
        if not running:
            live.launch()
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(min(1.0, seconds / 4))
            assert live.alive(), f"the daemon has ended: {live.log}"
            if running:
                begun = time.monotonic()
                assert client.ping(live.places, 10.0), "the daemon does not answer"
                worst.append(time.monotonic() - begun)
        holder.execute("ROLLBACK")
        holder.close()
        live.until(lambda: client.ping(live.places), "the daemon does not answer")
        goes_on(live)
        wrong += gaps(live)
        assert (status := live.terminate()) == 0, f"the daemon ends with {status}"
    except (AssertionError, OSError, sqlite3.Error, CronflowError) as fault:
        wrong.append(f"{type(fault).__name__}: {fault}"[-1500:])
    if moved(live):
        wrong.append("a locked database was moved aside")
    lines = tuple(f"{'running' if running else 'stopped'}: {line}" for line in wrong + judge(live))
    return Verdict(False, sum(count - 1 for count in slots(live).values()), lines)


def gaps(live: Live) -> list[str]:
    """Slots of the job of each second that are in no row."""
    rows = live.rows("SELECT slot, slots FROM runs WHERE flow = 'tick' ORDER BY slot")
    expected, found = rows[0][0], []
    for slot, count in rows:
        if slot != expected:
            found.append(f"slots {expected} to {slot} are in no row")
        expected = slot + count
    return found


ROWS = (
    Row("db-locked", "the database locked by another program for 60 s", 20, 2, locked),
    Row("db-cut", "the database cut", 200, 4, campaign(cut), uncounted=("lost",)),
    Row("db-bits", "a bit of the database flipped", 1000, 8, campaign(flip), batch=200, uncounted=("lost",)),
    Row("db-deleted", "the database deleted", 20, 2, campaign(delete, sure=True), uncounted=("lost",)),
    Row(
        *("db-replaced", "the database replaced by another program's file", 20, 2, campaign(replace, sure=True)),
        uncounted=("lost",),
    ),
)
