"""What a person types, with 100 jobs and a million runs in the history, against a Python that does nothing."""

from __future__ import annotations

import shutil
import subprocess
import sys

from benchmarks.figures import Figure, Options, in_turn
from benchmarks.history import make
from benchmarks.program import House, house

JOBS = 100
RUNS = 1_000_000
VERBS = (("status",), ("runs",), ("logs", "-n", "20"), ("next",), ("--help",))


def commands(options: Options) -> list[Figure]:
    """Each with a daemon; `status` also without one."""
    runs = RUNS // 50 if options.quick else RUNS
    with house(options) as home:
        make(home.folder, JOBS, runs, logs=200)
        alone = _row(options, home, ("status",), f"`status` without a daemon, {runs:,} runs")
        home.start()
        return [*(_row(options, home, words, f"`{' '.join(words)}`, {runs:,} runs") for words in VERBS), alone]


def _row(options: Options, home: House, words: tuple[str, ...], what: str) -> Figure:
    python = [sys.executable, "-c", "pass"]
    pairs = in_turn(options.times(20), lambda: home.call(*words).seconds, lambda: home.bare(python).seconds)
    return pairs.figure(what, "`python3 -c pass`", 9.0)


COMPLETE = """
source {script}
COMP_WORDS=(cronflow run job) COMP_CWORD=2
_cronflow
echo ${{#COMPREPLY[@]}}
"""


def completion(options: Options) -> list[Figure]:
    """The names of 100 jobs behind `cronflow run job`: a bash that starts, reads the script and completes."""
    bash = shutil.which("bash")
    if bash is None:
        raise RuntimeError("there is no bash")
    with house(options, "".join(f'[jobs.job{number}]\ncommand = "true"\n' for number in range(JOBS))) as home:
        home.start()
        script = home.folder / "completion.bash"
        script.write_text(home.said("completion", "bash"))
        words = [bash, "--norc", "--noprofile", "-c", COMPLETE.format(script=script)]
        _expect(home, words)
        python = [sys.executable, "-c", "pass"]
        pairs = in_turn(options.times(20), lambda: home.bare(words).seconds, lambda: home.bare(python).seconds)
    return [pairs.figure(f"completion of {JOBS} names, start of bash included", "`python3 -c pass`", 2.0)]


def _expect(home: House, words: list[str]) -> None:
    said = subprocess.run(words, env=home.env, cwd=home.folder, capture_output=True, check=True).stdout
    if said.strip() != str(JOBS).encode():
        raise RuntimeError(f"completion finds {said.decode().strip() or 'nothing'} instead of {JOBS} names")
