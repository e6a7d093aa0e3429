"""What this machine has: time zones, users, programs. Only read, never changed."""

from __future__ import annotations

import os
from functools import lru_cache

ROOT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
USER_PATH = "/usr/local/bin:/usr/bin:/bin"
LOCALTIME = "/etc/localtime"
TIMEZONE = "/etc/timezone"


def default_path(uid: int) -> str:
    """The PATH of a job that sets none: root's has the sbin folders."""
    return ROOT_PATH if uid == 0 else USER_PATH


def known_zone(name: str) -> bool:
    """Whether this machine has such an IANA zone."""
    from cronflow.core.time.schedule import ZoneError, check_zone

    try:
        check_zone(name)
    except ZoneError:
        return False
    return True


def machine_zone(localtime: str = LOCALTIME, timezone: str = TIMEZONE) -> str:
    """The IANA name of the machine's zone: `TZ` as the C library takes it, the link /etc/localtime, /etc/timezone; else UTC.

    Source: tzset(3), localtime(5), and Debian's /etc/timezone."""
    found = [os.environ.get("TZ", "").removeprefix(":"), os.path.realpath(localtime)]
    try:
        with open(timezone, encoding="utf-8") as stream:
            found.append(stream.readline().strip())
    except (OSError, UnicodeDecodeError):
        pass
    for text in found:
        name = text.partition("/zoneinfo/")[2] or text
        if name and not name.startswith("/") and known_zone(name):
            return name
    return "UTC"


@lru_cache(maxsize=512)
def has_user(name: str) -> bool:
    """Whether a user of this name, or number, is known to the system."""
    return home(name) is not None


@lru_cache(maxsize=512)
def has_group(name: str) -> bool:
    """Whether a group of this name, or number, is known to the system."""
    import grp

    try:
        return bool(grp.getgrgid(int(name)) if name.isascii() and name.isdecimal() else grp.getgrnam(name))
    except (KeyError, OverflowError):
        return False


def home(user: str | None) -> str | None:
    """The home of a user by name or number, for None that of the calling user; None if there is no such user (passwd(5))."""
    import pwd

    try:
        if user is None or (user.isascii() and user.isdecimal()):
            return pwd.getpwuid(os.geteuid() if user is None else int(user)).pw_dir
        return pwd.getpwnam(user).pw_dir
    except (KeyError, OverflowError):
        return None


def caller_name() -> str:
    """The name of the calling user, or its number if it has none, as in many containers."""
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


@lru_cache(maxsize=4096)
def has_folder(path: str) -> bool:
    """Whether there is such a folder now."""
    return os.path.isdir(path)


@lru_cache(maxsize=4096)
def has_file(path: str) -> bool:
    """Whether there is something of this name now; True also if only others may look."""
    try:
        return bool(os.stat(path))
    except OSError as error:
        return not isinstance(error, FileNotFoundError | NotADirectoryError)


@lru_cache(maxsize=4096)
def has_program(name: str, path: str) -> bool:
    """Whether execvp(3) with this PATH would find a program."""
    import shutil

    return shutil.which(name, path=path) is not None


def clear_cache() -> None:
    """Forget all answers, so that a later check in the same process sees what has changed in the meantime."""
    for question in (has_user, has_group, has_folder, has_file, has_program):
        question.cache_clear()
