"""The daemon and its service, other daemons, time zones, the limits of the kernel."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence

from cronflow import __version__
from cronflow.core.words import count, iso
from cronflow.doctor.finding import Finding, Scene, ok, problem, warning
from cronflow.doctor.jobs import environ_of
from cronflow.jobfile.machine import machine_zone
from cronflow.places import Places, find_places

UNIT = "cronflow.service"
BOOTED = "/run/systemd/system"
"""There where systemd is the init system (sd_booted(3))."""
SYSTEM_UNITS = ("/etc/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
LINGER = "/var/lib/systemd/linger"
SECONDS = 5.0
"""What systemctl may take to answer."""
FEW_WATCHES = 8192
OLD_ZONES = 2
"""Years after which rules of time zones are likely to have changed somewhere."""


def daemon(scene: Scene) -> Iterator[Finding]:
    """Whether one daemon works, on this job file, of this version."""
    there = scene.daemon
    if there is None:
        pid = holder(scene.places)
        if scene.not_ours:
            yield warning("daemon", scene.not_ours, "call `cronflow doctor` as that user, or with `sudo`")
        elif pid is not None:
            told = f"process {pid} holds the state folder and does not answer"
            yield problem("daemon", told, "`journalctl -u cronflow` tells what it is doing")
        else:
            hint = "`systemctl start cronflow`, or `cronflow daemon`"
            yield warning("daemon", "no daemon is running, so nothing starts by itself", hint)
        return
    if there.get("file") != str(scene.places.file):
        yield problem("daemon", f"the daemon of this state folder works on another job file, `{there.get('file')}`")
    elif there.get("foreground"):
        yield warning("daemon", "a `cronflow run` stands in for the daemon; it starts no slots", "start `cronflow daemon`")
    elif there.get("version") != __version__:
        told = f"the daemon is of version {there.get('version')}, this command of {__version__}"
        yield warning("daemon", told, "`systemctl restart cronflow`: jobs go on meanwhile")
    else:
        yield ok("daemon", f"the daemon has run since {iso(float(there['since']), 'UTC')}, process {there['pid']}")


def holder(places: Places) -> int | None:
    """The process that is the daemon of a state folder, whether it answers or not: who holds the flock(2) on its lock file, or on
    the folder, where somebody has removed the file; from /proc/locks (proc(5))."""
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


def twins(scene: Scene) -> Iterator[Finding]:
    """Other daemons of the same job file, with a state folder of their own: every job starts twice."""
    import psutil

    ours = {os.getpid(), None if scene.daemon is None else scene.daemon.get("pid"), holder(scene.places)}
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            if process.pid in ours or "daemon" not in words or not any("cronflow" in word for word in words[:4]):
                continue
            file = _file_of(words, process.environ(), process.uids().effective, process.cwd())
            same = os.path.samefile(f"/proc/{process.pid}/root{file}", scene.places.file)  # not that of a container
        except (psutil.Error, OSError):
            continue
        if same:
            told = f"process {process.pid} is a daemon of this job file too, with another state folder: every job starts twice"
            yield problem("two_daemons", told, f"`kill {process.pid}` ends it; its jobs go on")


def _file_of(words: Sequence[str], environ: Mapping[str, str], uid: int, folder: str) -> str:
    """The job file of a daemon, from its command line and environment."""
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


def service(_scene: Scene) -> Iterator[Finding]:
    """Whether systemd starts the daemon when the machine starts, and leaves the jobs alone when it ends."""
    if not os.path.isdir(BOOTED):
        yield ok("service", "systemd does not run here: whatever runs this machine has to start the daemon")
        return
    root = os.geteuid() == 0
    unit = next((path for path in _units(root) if os.path.exists(path)), None)
    option = "" if root else " --user"
    if unit is None:
        told = "there is no unit of systemd, so nothing starts the daemon after a reboot"
        yield warning("service", told, f"`cronflow service install{option}`")
        return
    if _systemctl(root, "is-enabled", UNIT) not in ("enabled", "enabled-runtime", "static", "alias", "linked", "indirect", None):
        yield warning("service", f"`{unit}` is not enabled", f"`systemctl{option} enable --now cronflow`")
    elif not root and not _lingers():
        told = "the service of a user ends with the last session"
        yield warning("linger", told, "`loginctl enable-linger`: it then runs while you are not logged in")
    else:
        yield ok("service", f"systemd starts the daemon, by `{unit}`")
    mode = _systemctl(root, "show", "--property=KillMode", "--value", UNIT)
    if mode not in ("process", "none", "", None):
        told = f"`{unit}` has `KillMode={mode}`: a restart of the daemon kills every job that is running"
        yield problem("kill_mode", told, "write `KillMode=process`, or `cronflow service install --force`")


def _units(root: bool) -> list[str]:
    if root:
        return [f"{folder}/{UNIT}" for folder in SYSTEM_UNITS]
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.environ.get("HOME") or "/", ".config")
    return [f"{base}/systemd/user/{UNIT}", f"/etc/systemd/user/{UNIT}", f"/usr/lib/systemd/user/{UNIT}"]


def _systemctl(root: bool, *words: str) -> str | None:
    """The answer of systemctl(1), None where there is none."""
    program = shutil.which("systemctl")
    if program is None:
        return None
    command = [program, *([] if root else ["--user"]), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def _lingers() -> bool:
    """Whether the services of this user outlive its sessions (loginctl(1))."""
    try:
        name = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return False
    return os.path.exists(f"{LINGER}/{name}")


# ---- what the machine has -------------------------------------------------------------------------------------------------


def zones(scene: Scene) -> Iterator[Finding]:
    """Which time zone data are used, and how old they are."""
    if scene.jobs is None:
        return
    names = sorted({scene.jobs.timezone, *(job.timezone for job in scene.jobs.jobs.values())})
    source, version = _zone_data()
    year = int(version[:4]) if version[:4].isdigit() else None
    told = f"{count(len(names), 'time zone')} in use, by the data of {source}{' ' + version if version else ''}"
    if year is not None and iso(scene.now, "UTC")[:4] > str(year + OLD_ZONES):
        yield warning("zones", f"{told}: rules may have changed since", "update the package `tzdata`")
    else:
        yield ok("zones", told)
    here, there = os.environ.get("TZ", ""), environ_of(scene).get("TZ", "")
    if here != there and scene.jobs.timezone == machine_zone():
        told = f"this shell has {f'`TZ={here}`' if here else 'no `TZ`'}, the daemon {f'`TZ={there}`' if there else 'none'}"
        yield warning("zones", f"{told}: times may be shown in another zone than jobs start by", "`timezone` in the job file")


def _zone_data() -> tuple[str, str]:
    """Where zoneinfo looks first (its search path, then the package tzdata), and the version that it finds there."""
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


def watches(scene: Scene) -> Iterator[Finding]:
    """The limits of inotify(7), for jobs that watch files."""
    if scene.jobs is None or not any(job.watch for job in scene.jobs.jobs.values()):
        return
    limits = {}
    for name in ("max_user_watches", "max_user_instances"):
        with open(f"/proc/sys/fs/inotify/{name}", encoding="ascii") as file:
            limits[name] = int(file.read())
    if limits["max_user_watches"] < FEW_WATCHES:
        told = f"a user may watch {limits['max_user_watches']} folders at once; those beyond are looked at now and then"
        yield warning("inotify", told, f"`sysctl fs.inotify.max_user_watches={8 * FEW_WATCHES}`")
    else:
        yield ok("inotify", f"{limits['max_user_watches']} folders may be watched, by {limits['max_user_instances']} programs")
