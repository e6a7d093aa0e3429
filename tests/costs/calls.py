"""What one turn of the engine passes through: calls of functions of `cronflow.core`, and the files in which they lie.

    python -m tests.costs.calls            a table of both events: calls and files
    python -m tests.costs.calls --tree     each call as well, below its caller, with its file

Counted are functions, methods, properties and lambdas written in `cronflow/core`, each time one is called, a generator once
however often it is resumed. Not counted are generator expressions and comprehensions, which have a frame of their own in some
versions of Python only; methods that a NamedTuple or a dataclass has been given; and all functions outside `cronflow/core`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from inspect import CO_GENERATOR
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import cronflow.core
from cronflow.core.engine import step
from cronflow.core.events import AttemptBegan, AttemptEnded, Event, Woke
from cronflow.core.records import parse_ref
from tests.core.stage import MIDNIGHT, Stage, job

CORE = str(Path(cronflow.core.__file__).parent)
UNCOUNTED = ("<genexpr>", "<listcomp>", "<setcomp>", "<dictcomp>")


class Call(NamedTuple):
    """One call: how deep below the turn, of which function, in which file of `cronflow/core`."""

    depth: int
    function: str
    file: str


def calls_of(act: Callable[[], object]) -> list[Call]:
    """The calls that count, in their order."""
    found: list[Call] = []
    frames: dict[FrameType, int] = {}
    """Each frame that has been counted, which keeps it alive and so apart from later ones, and its depth."""

    def note(frame: FrameType, event: str, _argument: object) -> None:
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(CORE) or code.co_name in UNCOUNTED:
            return
        if code.co_flags & CO_GENERATOR and frame in frames:
            return
        above = frame.f_back
        while above is not None and above not in frames:
            above = above.f_back
        frames[frame] = depth = frames[above] + 1 if above is not None else 0
        found.append(Call(depth, code.co_qualname, str(Path(code.co_filename).relative_to(CORE))))

    sys.setprofile(note)
    try:
        act()
    finally:
        sys.setprofile(None)
    return found


def a_turn(stage: Stage, event: Event) -> list[Call]:
    """The calls of one turn, as the daemon has the engine do it."""
    return calls_of(lambda: step(stage.state, event, stage.now))


def successor_starts() -> list[Call]:
    """`a` exits with 0, and `b`, which comes after it, is started."""
    stage = Stage(job("a"), job("b", ("a",)))
    stage.run("a")
    ref = stage.started[0]
    stage.do(AttemptBegan(parse_ref(ref), 4711, stage.now))
    stage.now += 5
    found = a_turn(stage, AttemptEnded(parse_ref(ref), stage.now, exit_code=0))
    assert stage.state.runs[1].tasks["b"].state == "running"
    return found


def slot_fires() -> list[Call]:
    """The time of a job has come: a run is opened, and its task started. The run of yesterday has ended."""
    stage = Stage(job("a", schedule="0 4 * * *"))
    stage.at(4 * 3600)
    stage.end(stage.started[0])
    stage.now = MIDNIGHT + 28 * 3600
    found = a_turn(stage, Woke())
    assert stage.state.runs[2].tasks["a"].state == "running"
    return found


TURNS = {
    "an exit status that starts a successor": successor_starts,
    "a slot that fires": slot_fires,
}


def files_of(calls: list[Call]) -> dict[str, int]:
    """The files that a turn passes through, in that order, and the calls in each."""
    files: dict[str, int] = {}
    for call in calls:
        files[call.file] = files.get(call.file, 0) + 1
    return files


def main() -> None:
    turns = {what: turn() for what, turn in TURNS.items()}
    print(f"{'':40}  calls  files")
    for what, calls in turns.items():
        print(f"{what:40}  {len(calls):5}  {len(files_of(calls)):5}")
    if "--tree" in sys.argv[1:]:
        for what, calls in turns.items():
            print(f"\n{what}: {', '.join(f'{file} {count}' for file, count in files_of(calls).items())}\n")
            for call in calls:
                print(f"{'  ' * call.depth + call.function:60} {call.file}")


if __name__ == "__main__":
    main()
