"""One job each minute: how long after the minute its command runs, under cronflow, yacron and Debian's cron.

They take turns, so that none disturbs another one. cron gets a mount namespace of its own, in which all tables of the machine
are hidden; that needs root.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.clock import CLOCK, next_slot, sleep_until
from benchmarks.figures import Figure, Goal, Options
from benchmarks.peers import installed, version
from benchmarks.program import PATIENCE, house

_CRON = """
set -e
mount -t tmpfs tmpfs /var/spool
mkdir -p /var/spool/cron/crontabs
for folder in /etc/cron.d /run; do [ ! -d $folder ] || mount -t tmpfs tmpfs $folder; done
[ ! -e /etc/crontab ] || mount --bind /dev/null /etc/crontab
cp "$1" /var/spool/cron/crontabs/root
chmod 600 /var/spool/cron/crontabs/root
exec "$2" -f
"""


def minute(options: Options) -> list[Figure]:
    """The median of some minutes each; yacron where `--install` names a folder for it, cron where it is installed."""
    with house(options) as home, contextlib.ExitStack() as running:
        others = {"cron": _cron, "yacron": _yacron}
        names = ["cronflow", *(name for name in others if _available(name, options))]
        command = {name: f"{shlex.join(CLOCK)} >> {home.folder / name}.times" for name in names}
        schedule = {name: f"{place}-59/{len(names)} * * * *" for place, name in enumerate(names)}
        line = f'schedule = "{schedule["cronflow"]}"\ncommand = "{command["cronflow"]}"\n'
        home.file.write_text(f"[jobs.clock]\n{line}")
        home.file.chmod(0o644)
        home.start()
        for name in names[1:]:
            running.enter_context(others[name](options, home.folder, schedule[name], command[name]))
        first = next_slot(60)
        sleep_until(first + 60 * len(names) * options.times(5) - 30)
        delays = {name: _delays(home.folder / f"{name}.times", first) for name in names}
    notes = [f"{name} {statistics.median(delays[name]) * 1000:.0f} ms" for name in names[1:]]
    against = ", ".join([*notes, *(f"{name}: not here" for name in others if name not in names)])
    ours = delays["cronflow"]
    values = tuple(delay * 1000 for delay in ours)
    what = f"1 job each minute, {len(ours)} minutes: start after the minute, median"
    return [Figure(what, against, values, Goal(5.0), "ms", ours)]


def _available(name: str, options: Options) -> bool:
    if name == "yacron":
        return options.install is not None
    if shutil.which("unshare") is None:
        return False
    allowed = os.geteuid() == 0 and subprocess.run(["unshare", "-m", "true"], check=False).returncode == 0
    return _cron_program() is not None and allowed


def _cron_program() -> str | None:
    return shutil.which("cron", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def _delays(times: Path, first: float) -> tuple[float, ...]:
    clocks = [float(line) for line in times.read_text().split()]
    return tuple(clock % 60.0 for clock in clocks if clock >= first)


@contextlib.contextmanager
def _running(command: list[str], env: dict[str, str], folder: Path) -> Iterator[None]:
    """For as long as it is needed; then the whole session is ended."""
    with open(folder / "other.log", "ab") as log:
        process = subprocess.Popen(
            command, env=env, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)


def _cron(_options: Options, folder: Path, schedule: str, command: str) -> contextlib.AbstractContextManager[None]:
    table, program = folder / "crontab", _cron_program()
    table.write_text(f"{schedule} {command}\n".replace("%", "\\%"))
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    return _running(["unshare", "-m", "--propagation", "private", "sh", "-c", _CRON, "sh", str(table), str(program)], env, folder)


def _yacron(options: Options, folder: Path, schedule: str, command: str) -> contextlib.AbstractContextManager[None]:
    assert options.install is not None
    programs = installed("yacron", Path(options.install))
    print(f" yacron {version(programs, 'yacron')}", end="", file=sys.stderr, flush=True)
    table = folder / "yacron.yaml"
    job = f'  - name: clock\n    command: "{command}"\n    shell: /bin/sh\n    schedule: "{schedule}"\n    utc: false\n'
    table.write_text(f"jobs:\n{job}")
    env = {"PATH": f"{programs}:/usr/bin:/bin", "HOME": str(folder)}
    return _running([str(programs / "yacron"), "-c", str(table)], env, folder)
