"""Install cronflow as a service of systemd."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from cronflow.cli.invocation import Invocation
from cronflow.errors import CronflowError, Exit

NAME = "cronflow.service"

UNIT = """\
# Written by `cronflow service install`. Your own changes belong in `systemctl {user_option}edit cronflow`.

[Unit]
Description=cronflow: cron with dependencies, retries, history and alerts
Documentation=man:cronflow(1) man:cronflow-jobs(5) man:cronflow-daemon(8)
{after}
[Service]
# The daemon says when it is ready, when it reloads and, every few seconds, that it is alive.
Type=notify
NotifyAccess=main
ExecStart={start}
ExecReload={reload}

# Jobs outlive the daemon: a stop, restart or upgrade ends the daemon alone, and the next one takes the jobs over.
KillMode=process

# Every attempt gets a control group of its own below this one, so that its end is the end of all its processes.
Delegate=yes

# A job that is out of memory is a failed job, and no reason to end the daemon.
OOMPolicy=continue

# As many processes as the jobs need: the limit is `max_running` in the job file.
TasksMax=infinity

# Whatever ends the daemon, it comes back; a plain exit (`cronflow stop`) is meant, and stays.
Restart=always
RestartSec=2
RestartPreventExitStatus=0

# A daemon that is stuck for two minutes is replaced. It wakes at least every 30 seconds.
WatchdogSec=120
{folders}
# No PrivateTmp, no ProtectSystem, no NoNewPrivileges: jobs would inherit them, and a job is to find the machine that its
# author sees in a shell.

[Install]
WantedBy={target}
"""

_AFTER = """\
# Jobs may need file systems of the network and users of a directory service, as with cron.
After=remote-fs.target nss-user-lookup.target network.target time-sync.target
"""

_USER_FOLDERS = """
# The sockets by which the next daemon finds the jobs that go on: they must not go with the daemon.
RuntimeDirectory=cronflow
RuntimeDirectoryPreserve=yes
"""

_FOLDERS = f"""
# The history and the logs, which may hold what jobs print, are for the daemon's user alone. Jobs of other users only pass
# through the folder, to their own CRONFLOW_STATE_DIR and CRONFLOW_OUTPUT.
StateDirectory=cronflow
StateDirectoryMode=0711
{_USER_FOLDERS}"""


def install(
    invocation: Invocation,
    user: Annotated[bool, typer.Option("--user", help="For your own systemd instance, not the machine's.")] = False,
    only_print: Annotated[bool, typer.Option("--print", help="Show the unit, and write nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a unit that differs.")] = False,
) -> None:
    """Write the unit with which systemd runs the daemon, and show it.

    `--file` and `--state` go into the unit. It is not started: the commands for that are told.
    """
    text = unit(invocation, user)
    path = _path(user)
    if only_print:
        invocation.out(text, end="")
        return
    _write(path, text, force)
    if invocation.json:
        invocation.print_json({"file": str(path), "unit": text})
        return
    invocation.out(text, end="")
    invocation.warn(f"wrote {path}")
    for line in _next_steps(user):
        invocation.warn(line)


def unit(invocation: Invocation, user: bool = False) -> str:
    """The text of the unit, after systemd.unit(5), systemd.service(5), systemd.exec(5) and systemd.kill(5)."""
    options = []
    if invocation.options.file or os.environ.get("CRONFLOW_FILE"):
        options += ["--file", str(invocation.places.file)]
    state = invocation.options.state or os.environ.get("CRONFLOW_STATE")
    if state:
        options += ["--state", str(invocation.places.state)]
    program = find_program()
    folders = "" if state else _USER_FOLDERS if user else _FOLDERS
    return UNIT.format(
        user_option="--user " if user else "",
        after="" if user else _AFTER,
        start=" ".join(map(quoted, [*program, "daemon", *options])),
        reload=" ".join(map(quoted, [*program, "reload", *options])),
        folders=folders,
        target="default.target" if user else "multi-user.target",
    )


def find_program() -> list[str]:
    """The words that start this very program from anywhere: an absolute path of `cronflow`, else of python with the module."""
    called = sys.argv[0]
    found = called if os.path.basename(called) == "cronflow" and os.sep in called else shutil.which("cronflow")
    beside = os.path.join(os.path.dirname(sys.executable), "cronflow")
    for path in (found, beside):
        if path and os.access(path, os.X_OK) and os.path.isfile(path):
            return [os.path.abspath(path)]
    return [sys.executable, "-m", "cronflow.cli.main"]


def quoted(word: str) -> str:
    """A word of a command line as systemd reads it (systemd.service(5), COMMAND LINES): `%` and `$` stand for themselves."""
    plain = word.replace("\\", "\\\\").replace("%", "%%").replace("$", "$$").replace('"', '\\"').replace("\n", "\\n")
    return plain if plain and not any(sign in plain for sign in " \t'\"\\;") else f'"{plain}"'


def _path(user: bool) -> Path:
    if not user:
        return Path("/etc/systemd/system") / NAME
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.environ.get("HOME") or "/", ".config")
    return Path(base) / "systemd" / "user" / NAME


def _write(path: Path, text: str, force: bool) -> None:
    try:
        there = path.read_text(encoding="utf-8", errors="replace") if path.exists() else None
        if there is not None and there != text and not force:
            hint = f"`cronflow service install --print` shows the new one; `--force` overwrites, `systemctl edit {NAME}` adds"
            raise CronflowError(f"`{path}` is there already, and differs", hint)
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.new")
        fresh.write_text(text, encoding="utf-8")
        fresh.chmod(0o644)
        fresh.rename(path)
    except PermissionError:
        hint = "`sudo cronflow service install`, or `--user` for a service of your own"
        raise CronflowError(f"`{path}` may not be written by this user", hint, Exit.NOT_PERMITTED) from None


def _next_steps(user: bool) -> list[str]:
    control = "systemctl --user" if user else "systemctl"
    steps = [f"next: {control} daemon-reload", f"      {control} enable --now cronflow"]
    if user:
        steps.append("      loginctl enable-linger     (so that it runs while you are not logged in)")
    if not os.path.isdir("/run/systemd/system"):
        steps.insert(0, "systemd does not run on this machine now: the unit takes effect where it does")
    return steps
