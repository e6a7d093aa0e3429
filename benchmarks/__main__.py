"""`python -m benchmarks [NAME…] [--repeat N] [--quick] [--json FILE] [--write]`: how fast cronflow is on this machine.

Every figure compares it with something else that runs in the same session, by turns. The program is the `cronflow` beside this
Python, or `--program`; it runs as ever: commits survive a power cut, history and logs are written. Leave the machine alone
meanwhile: what else runs is in the spread. (As root, `chrt -r 1 python -m benchmarks` makes what else runs wait.) All of it
takes about half an hour, `--quick` some minutes, and is then no measure.

NAMEs: graph chain punctual crowd idle files commands completion store pool. With `--install DIR` also two that look at others of
its kind: peers gives the graph to six orchestrators, which it installs from PyPI into that folder; minute is one job each minute
under cronflow, cron and yacron.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import report
from benchmarks.figures import Figure, Options


def _rows() -> dict[str, Callable[[Options], list[Figure]]]:
    from benchmarks.chain import chain
    from benchmarks.commands import commands, completion
    from benchmarks.crowd import crowd
    from benchmarks.engine import pool, store
    from benchmarks.files import files
    from benchmarks.graph import graph
    from benchmarks.idle import idle
    from benchmarks.minute import minute
    from benchmarks.peers import peers
    from benchmarks.punctual import punctual

    every = (graph, chain, punctual, crowd, idle, files, commands, completion, store, pool)
    return {row.__name__: row for row in (*every, peers, minute)}


def main(arguments: Sequence[str] | None = None) -> int:
    rows = _rows()
    named = _parser(list(rows)).parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that daemons and folders are not left behind
    options = Options(named.program, named.folder, named.repeat, named.quick, named.install)
    facts = {"cronflow": _version(options.program), **report.machine(options.folder)}
    print(f"{facts['cronflow']}; {report.of_machine(facts)}", file=sys.stderr)
    figures: list[Figure] = []
    failed = False
    for name in named.names or list(rows)[: None if named.install else -2]:
        begun = time.perf_counter()
        print(f"{name} …", end="", file=sys.stderr, flush=True)
        try:
            figures += rows[name](options)
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            failed = True
            print(f" not measured: {error}", file=sys.stderr)
            continue
        print(f" {time.perf_counter() - begun:.0f} s", file=sys.stderr)
    table = report.table(figures)
    print(table)
    if named.json is not None:
        named.json.write_text(report.as_json(figures, facts))
    if named.write:
        report.put_into(report.PAGE, f"{table}\n\n{report.of_machine(facts)}.")
    return int(failed)


def _parser(names: Sequence[str]) -> argparse.ArgumentParser:
    beside = Path(sys.executable).with_name("cronflow")
    lasting = "/var/tmp" if os.path.isdir("/var/tmp") else tempfile.gettempdir()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", choices=[*names, []], metavar="NAME", help="what to measure; without one: all")
    parser.add_argument("--repeat", type=int, metavar="N", help="how often each pair is measured (default: what suits the row)")
    parser.add_argument("--quick", action="store_true", help="small and few, to see that it works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="a file for all figures")
    parser.add_argument("--write", action="store_true", help=f"put the table into {report.PAGE}")
    parser.add_argument("--program", default=str(beside), metavar="PATH", help="default: %(default)s")
    parser.add_argument("--folder", default=lasting, metavar="DIR", help="for job files and states (default: %(default)s)")
    parser.add_argument("--install", metavar="DIR", help="where other orchestrators are, or are installed: measures them too")
    return parser


def _version(program: str) -> str:
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
