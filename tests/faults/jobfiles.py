"""Broken job files under a daemon that reads them: texts mutated by Hypothesis, and files that are swapped while they are read.

What is in force is what a sound file said, or what was in force before; what is wrong is told with its place; nobody sees a
traceback.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import threading
import time
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from cronflow.core.plan.effective import as_plain
from cronflow.errors import CronflowError, JobFileError
from cronflow.jobfile.read import read
from tests.daemon.live import Live, job, living
from tests.faults.rows import Outcome, Row
from tests.jobfile.test_mutations import GOOD, PIECES, drawn

SWAPPED = 5
"""Every so many trials one with files that are swapped."""
ENOUGH = 100
"""Of so many reloads while files are swapped some are refused and some are not."""
EDITS = st.lists(st.tuples(st.integers(0, len(GOOD)), st.integers(0, 12), PIECES | st.just("")), min_size=1, max_size=3)
BYTES = st.tuples(st.binary(max_size=60), st.integers(0, len(GOOD)))


def jobfiles(trials: int, number: int) -> Outcome:
    """Mutations, then swaps, under one daemon each."""
    wrong: list[str] = []
    swaps = trials // SWAPPED
    with living() as live:
        looked, refused = mutations(live, trials - swaps, number, wrong)
    with living() as live:
        broken = swapped(live, swaps, random.Random(number), wrong)
    note = f"{refused} of {looked} mutated texts refused, the others are sound;"
    note += f" {swaps} reloads while files were swapped, {broken} of them refused"
    return Outcome(looked + swaps, 0, 0, tuple(wrong), (note,))


def mutations(live: Live, trials: int, number: int, wrong: list[str]) -> tuple[int, int]:
    """How many texts were read, and how many of them were refused."""
    live.env.pop("TZ")  # a file that names no zone means the machine's, for the daemon as for us
    live.env.update({key: value for key, value in os.environ.items() if key == "TZ"})
    live.start('[settings]\nreload = "manual"\n' + job("a", "true"))
    made = count = 0

    @seed(number)
    @settings(max_examples=trials, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(st.one_of(EDITS, EDITS, EDITS, BYTES))
    def one(change: Any) -> None:
        nonlocal made, count
        made += 1
        raw = mutated(change)
        lines = check(live, raw)
        count += lines is not None
        wrong.extend(f"{raw!r}: {line}" for line in lines or ())

    one()
    wrong.extend(judge(live))
    return made, count


def mutated(change: Any) -> bytes:
    if isinstance(change, tuple):
        raw, at = change
        return GOOD[:at].encode() + bytes(raw) + GOOD[at:].encode()
    text = GOOD
    for at, length, piece in change:
        text = text[:at] + piece + text[at + length :]
    return text.encode()


def check(live: Live, raw: bytes) -> list[str] | None:
    """Have the daemon read a text. None: it was sound, and is in force; else what does not hold of its refusal."""
    before = live.ask("in_force")
    live.file.write_bytes(raw)
    try:
        drawn(raw)  # every problem has a place, and can be drawn
    except AssertionError as fault:
        return [f"a problem without a place: {fault}"]
    try:
        expected = as_plain(read(str(live.file), thorough=False).jobs)
    except JobFileError:
        expected = None
    try:
        live.ask("reload")
    except CronflowError as refusal:
        told = live.one("SELECT message FROM troubles WHERE key = 'config'") or ""
        wrong = [] if expected is None else [f"a sound text is refused: {refusal.message}"]
        wrong += [] if re.search(r"jobs\.toml:\d+", told) else [f"status does not name the place: {told!r}"]
        return wrong + ([] if live.ask("in_force") == before else ["what was in force is not any more"])
    if expected is None:
        return ["a broken text is taken"]
    return None if live.ask("in_force")["in_force"] == plain(expected) else ["something else is in force"]


def plain(value: Any) -> Any:
    """As it comes over the socket."""
    return json.loads(json.dumps(value))


def swapped(live: Live, trials: int, dice: random.Random, wrong: list[str]) -> int:
    """Files that belong to each other are swapped by renames all the time, while the daemon is asked to read them; how often
    they were refused."""
    head = 'include = ["jobs.d/*.toml"]\n[settings]\nreload = "manual"\n'
    live.write(job("x", "true"), "jobs.d/one.toml")
    live.start(head + job("a", "true"))
    over = threading.Event()
    swapper = threading.Thread(target=swap, args=(live, head, random.Random(dice.random()), over))
    swapper.start()
    allowed = {frozenset({main, *part}) for main in ("a", "b") for part in ((), ("x",), ("y",), ("x", "y"))}
    refused = 0
    try:
        for _ in range(trials):
            try:
                live.ask("reload")
            except CronflowError as refusal:
                refused += 1
                if not refusal.message.startswith("the job file has errors, the old one stays in force"):
                    wrong.append(f"a reload is refused with {refusal.message!r}")
            names = effective_config(live)
            if names not in allowed:
                wrong.append(f"jobs {sorted(names)} are in force")
    finally:
        over.set()
        swapper.join()
    tidy(live)
    live.write(job("y", "true"), "jobs.d/one.toml")
    live.write(head + job("b", "true"))
    live.ask("reload")
    if effective_config(live) != {"b", "y"}:
        wrong.append("the last files are not in force")
    if trials >= ENOUGH and not 0 < refused < trials:
        wrong.append(f"{refused} of {trials} reloads were refused: that is no trial of files that are swapped")
    wrong.extend(judge(live))
    return refused


def effective_config(live: Live) -> frozenset[str]:
    """The names of the jobs in force."""
    return frozenset(one["name"] for one in live.ask("in_force")["in_force"]["jobs"])


def swap(live: Live, head: str, dice: random.Random, over: threading.Event) -> None:
    """Sound, broken, missing, a folder, a pipe without a writer, a link that leads to itself."""
    while not over.is_set():
        name = dice.choice(("jobs.toml", "jobs.d/one.toml", "jobs.d/two.toml"))
        path = live.path(name)
        kind = dice.choice(("sound", "sound", "sound", "broken", "missing", "folder", "pipe", "circle", "unreadable"))
        tidy(live, name)
        if kind in ("sound", "broken", "unreadable"):
            main = name == "jobs.toml"
            sound = head + job(dice.choice("ab"), "true") if main else job("x" if "one" in name else "y", "true")
            live.write(sound + {"sound": "", "broken": "[jobs\n", "unreadable": "\0"}[kind], name)
        elif kind == "folder":
            path.mkdir()
        elif kind == "pipe":
            os.mkfifo(path)
        elif kind == "circle":
            path.symlink_to(path.name)
        time.sleep(dice.uniform(0, 0.002))


def tidy(live: Live, *names: str) -> None:
    """Take files away, whatever they are."""
    for name in names or ("jobs.toml", "jobs.d/one.toml", "jobs.d/two.toml"):
        path = live.path(name)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def judge(live: Live) -> list[str]:
    wrong = [f"the daemon says `{word}`: {live.log[-1500:]}" for word in ("Traceback", "defect") if word in live.log]
    status = live.terminate()
    return wrong + ([f"the daemon ends with {status}"] if status else [])


ROWS = (
    Row(
        *("jobfiles", "mutated job files, and files swapped while being read", 10_000, 100, jobfiles),
        batch=2000,
        uncounted=("lost", "twice"),
    ),
)
