"""A chain of tasks, one after the other: what a step costs more than in a script."""

from __future__ import annotations

from benchmarks.figures import Figure, Goal, Options, in_turn
from benchmarks.program import house

STEPS = 500


def chain(options: Options) -> list[Figure]:
    """500 tasks, each after the one before, against `sh` with the same 500 commands."""
    steps = 50 if options.quick else STEPS
    with house(options, job_file(steps)) as home:
        script = home.folder / "chain.sh"
        script.write_text("set -e\n" + "".join(f"/bin/sh -c ': s{step}'\n" for step in range(steps)))
        pairs = in_turn(
            options.times(7), lambda: home.call("run", "s0").seconds, lambda: home.bare(["/bin/sh", str(script)]).seconds
        )
    more = tuple((our - their) / steps * 1000 for our, their in zip(pairs.ours, pairs.theirs, strict=True))
    what = f"chain of {steps} tasks: a step takes more by"
    return [Figure(what, "`sh` with the same commands", more, Goal(4.0), "ms", pairs.ours, pairs.theirs)]


def job_file(steps: int) -> str:
    jobs = []
    for step in range(steps):
        after = f'after = ["s{step - 1}"]\n' if step else ""
        jobs.append(f'[jobs.s{step}]\n{after}command = ": s{step}"\n')
    return "\n".join(jobs)
