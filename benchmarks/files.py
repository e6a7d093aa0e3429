"""Job files with 10,000 jobs: `check`, the start of the daemon, `reload`, each against parsing the same file with tomllib."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.figures import Figure, Options, in_turn
from benchmarks.program import House, house

JOBS = 10_000
FLOW = 10
"""Jobs in a flow: the first one has a schedule, each of the others comes after one of these."""
_PARSE = """
import sys, time, tomllib
with open(sys.argv[1], "rb") as file:
    text = file.read().decode()
begun = time.perf_counter()
tomllib.loads(text)
print(time.perf_counter() - begun)
"""


def files(options: Options) -> list[Figure]:
    """What is measured of tomllib is the parsing alone, without the start of its process."""
    jobs = JOBS // 10 if options.quick else JOBS
    with house(options, job_file(jobs)) as home:
        home.call("check")
        home.start()
        home.stop()
        times = options.times(5)
        found = [
            in_turn(times, lambda: home.call("check").seconds, lambda: _parse(home)).figure(
                f"`check` of {jobs:,} jobs", "parsing with tomllib", 15.0
            ),
            in_turn(times, lambda: _start(home), lambda: _parse(home)).figure(
                f"start of the daemon with {jobs:,} jobs", "parsing with tomllib", 15.0
            ),
        ]
        home.start()
        edits = iter(range(1_000_000))
        pairs = in_turn(times, lambda: _reload(home, jobs, next(edits)), lambda: _parse(home))
        return [*found, pairs.figure(f"`reload` of {jobs:,} jobs, of which one has changed", "parsing with tomllib", 15.0)]


def job_file(jobs: int, edit: int = 0) -> str:
    """As people write them; `edit` makes another command of the last job."""
    parts = ['timezone = "Europe/Berlin"\n\n[settings]\nreload = "manual"\n\n[defaults]\ntimeout = "1h"\n']
    for number in range(jobs):
        root = number - number % FLOW
        if number == root:
            when = f'schedule = "{number % 60} {number // 60 % 24} * * mon-fri"'
        else:
            when = f'after = ["job{root + (number - root) // 2}"]'
        words = f"./load.sh --table table_{number} --date \\\"$CRONFLOW_DATE\\\"" + (f" {edit}" if number == jobs - 1 else "")
        more = f'description = "Loads table {number}"\nretries = 2\nenv = {{ REGION = "eu" }}\n'
        parts.append(f'[jobs.job{number}]\n{when}\ncommand = "{words}"\n{more}')
    return "\n".join(parts)


def _parse(home: House) -> float:
    done = subprocess.run([sys.executable, "-c", _PARSE, str(home.file)], env=home.env, capture_output=True, check=True)
    return float(done.stdout)


def _start(home: House) -> float:
    """The daemon starts on what it has left at its last end."""
    seconds = home.start()
    home.stop()
    return seconds


def _reload(home: House, jobs: int, edit: int) -> float:
    home.file.write_text(job_file(jobs, edit + 1))
    return home.call("reload").seconds
