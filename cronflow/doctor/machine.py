"""Checks the daemon and its service, other daemons, time zones, and limits of the kernel."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence

from cronflow import __version__
from cronflow.core.words import count, iso
from cronflow.doctor.finding import Context, Finding, ask, ok, problem, warning
from cronflow.doctor.jobs import daemon_environ
from cronflow.jobfile.machine import caller_name, machine_zone
from cronflow.places import Places, find_places

UNIT = "cronflow.service"
BOOTED = "/run/systemd/system"
"""Exists if systemd is the init system (sd_booted(3))."""
SYSTEM_UNITS = ("/etc/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
LINGER = "/var/lib/systemd/linger"
"""Names the users whose services outlive their sessions (loginctl(1))."""
FEW_WATCHES = 8192
OLD_ZONES = 2
"""Years after which the rules of some time zone have probably changed."""


def check_daemon(context: Context) -> Iterator[Finding]:
    """Whether a daemon is running, for this job file and of this version."""
    running = context.daemon
    if running is None:
        pid = daemon_pid(context.places)
        if context.not_ours:
            yield warning("daemon", context.not_ours, "run `cronflow doctor` as that user, or with `sudo`")
        elif pid is not None:
            message = f"process {pid} holds the state folder and does not answer"
            yield problem("daemon", message, "`journalctl -u cronflow` shows what it is doing")
        else:
            hint = "`systemctl start cronflow`, or `cronflow daemon`"
            yield warning("daemon", "no daemon is running, so nothing starts by itself", hint)
        return
    if running.get("file") != str(context.places.file):
        yield problem("daemon", f"the daemon of this state folder uses another job file, `{running.get('file')}`")
    elif running.get("foreground"):
        yield warning("daemon", "a `cronflow run` stands in for the daemon; it starts no slots", "start `cronflow daemon`")
    elif running.get("version") != __version__:
        message = f"the daemon is of version {running.get('version')}, this command of {__version__}"
        yield warning("daemon", message, "`systemctl restart cronflow`: jobs keep running")
    else:
        yield ok("daemon", f"the daemon has run since {iso(float(running['since']), 'UTC')}, process {running['pid']}")


def daemon_pid(places: Places) -> int | None:
    """The process that is the daemon of a state folder, whether it answers or not: the one that holds the flock(2) on its lock
    file, or on the folder if the file was removed, by /proc/locks (proc(5)). None if there is none."""
    held = set()
    for path in (places.lock, places.state):
        with contextlib.suppress(OSError):
            about = path.stat()
            held.add(f"{os.major(about.st_dev):02x}:{os.minor(about.st_dev):02x}:{about.st_ino}")
    try:
        with open("/proc/locks", encoding="ascii") as file:
            found = [line.split() for line in file]
    except OSError:
        return None
    return next((int(words[4]) for words in found if len(words) > 5 and words[1] == "FLOCK" and words[5] in held), None)


def check_other_daemons(context: Context) -> Iterator[Finding]:
    """Other daemons of the same job file with their own state folders, so that every job starts twice."""
    import psutil

    ours = {os.getpid(), None if context.daemon is None else context.daemon.get("pid"), daemon_pid(context.places)}
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            if process.pid in ours or "daemon" not in words or not any("cronflow" in word for word in words[:4]):
                continue
            file = _file_of(words, process.environ(), process.uids().effective, process.cwd())
            same = os.path.samefile(f"/proc/{process.pid}/root{file}", context.places.file)  # not that of a container
        except (psutil.Error, OSError):
            continue
        if same:
            message = (
                f"process {process.pid} is also a daemon of this job file, with another state folder: every job starts twice"
            )
            yield problem("two_daemons", message, f"`kill {process.pid}` ends it; its jobs keep running")


def _file_of(words: Sequence[str], environ: Mapping[str, str], uid: int, folder: str) -> str:
    """The job file of a daemon, by its command line and environment."""
    named = None
    for place, word in enumerate(words):
        if word in ("-f", "--file") and place + 1 < len(words):
            named = words[place + 1]
        elif word.startswith("--file="):
            named = word.partition("=")[2]
        elif re.match(r"-f.", word):
            named = word[2:]
    named = named or environ.get("CRONFLOW_FILE")
    return os.path.join(folder, named) if named else str(find_places(None, None, environ, uid).file)


# ---- the service ----------------------------------------------------------------------------------------------------------


def check_service(_context: Context) -> Iterator[Finding]:
    """Whether systemd starts the daemon at boot, and leaves its jobs running when it ends."""
    if not os.path.isdir(BOOTED):
        yield ok("service", "systemd is not running here: the machine's own init has to start the daemon")
        return
    root = os.geteuid() == 0
    unit = next((path for path in _units(root) if os.path.exists(path)), None)
    option = "" if root else " --user"
    if unit is None:
        message = "there is no systemd unit, so nothing starts the daemon after a reboot"
        yield warning("service", message, f"`cronflow service install{option}`")
        return
    if _systemctl(root, "is-enabled", UNIT) not in ("enabled", "enabled-runtime", "static", "alias", "linked", "indirect", None):
        yield warning("service", f"`{unit}` is not enabled", f"`systemctl{option} enable --now cronflow`")
    elif not root and not os.path.exists(f"{LINGER}/{caller_name()}"):
        message = "a user's service ends with the last session"
        yield warning("linger", message, "`loginctl enable-linger`: it then runs while you are not logged in")
    else:
        yield ok("service", f"systemd starts the daemon, with `{unit}`")
    mode = _systemctl(root, "show", "--property=KillMode", "--value", UNIT)
    if mode not in ("process", "none", "", None):
        message = f"`{unit}` has `KillMode={mode}`: a restart of the daemon kills every job that is running"
        yield problem("kill_mode", message, "write `KillMode=process`, or `cronflow service install --force`")


def _units(root: bool) -> list[str]:
    if root:
        return [f"{folder}/{UNIT}" for folder in SYSTEM_UNITS]
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.environ.get("HOME") or "/", ".config")
    return [f"{base}/systemd/user/{UNIT}", f"/etc/systemd/user/{UNIT}", f"/usr/lib/systemd/user/{UNIT}"]


def _systemctl(root: bool, *words: str) -> str | None:
    done = ask("systemctl", *([] if root else ["--user"]), *words)
    return done.stdout.decode(errors="replace").strip() or None if done is not None else None


# ---- what the machine has -------------------------------------------------------------------------------------------------


def check_zones(context: Context) -> Iterator[Finding]:
    """The time zone data in use, and their age."""
    if context.jobs is None:
        return
    names = sorted({context.jobs.timezone, *(job.timezone for job in context.jobs.jobs.values())})
    source, version = _zone_data()
    year = int(version[:4]) if version[:4].isdigit() else None
    message = f"{count(len(names), 'time zone')} in use, from {source}{' ' + version if version else ''}"
    if year is not None and iso(context.now, "UTC")[:4] > str(year + OLD_ZONES):
        yield warning("zones", f"{message}: rules may have changed since then", "update the package `tzdata`")
    else:
        yield ok("zones", message)
    here, there = os.environ.get("TZ", ""), daemon_environ(context).get("TZ", "")
    if here != there and context.jobs.timezone == machine_zone():
        message = f"this shell has {f'`TZ={here}`' if here else 'no `TZ`'}, the daemon {f'`TZ={there}`' if there else 'none'}"
        yield warning(
            "zones", f"{message}: times may be shown in another zone than that of jobs", "set `timezone` in the job file"
        )


def _zone_data() -> tuple[str, str]:
    """The source of zoneinfo (its search path, then the package tzdata), and its version, "" if that is unknown."""
    import zoneinfo
    from importlib import metadata

    for folder in zoneinfo.TZPATH:
        if os.path.exists(os.path.join(folder, "UTC")):
            try:
                with open(os.path.join(folder, "tzdata.zi"), encoding="utf-8") as file:
                    return folder, file.readline().removeprefix("# version").strip()
            except OSError:
                return folder, ""
    try:
        return "the package tzdata", metadata.version("tzdata")
    except metadata.PackageNotFoundError:
        return "nowhere", ""


def check_inotify(context: Context) -> Iterator[Finding]:
    """The limits of inotify(7), if any job watches files."""
    if context.jobs is None or not any(job.watch for job in context.jobs.jobs.values()):
        return
    limits = {}
    for name in ("max_user_watches", "max_user_instances"):
        with open(f"/proc/sys/fs/inotify/{name}", encoding="ascii") as file:
            limits[name] = int(file.read())
    if limits["max_user_watches"] < FEW_WATCHES:
        message = f"a user may watch {limits['max_user_watches']} folders at once; further ones are only polled"
        yield warning("inotify", message, f"`sysctl fs.inotify.max_user_watches={8 * FEW_WATCHES}`")
    else:
        yield ok("inotify", f"{limits['max_user_watches']} folders may be watched, by {limits['max_user_instances']} programs")
