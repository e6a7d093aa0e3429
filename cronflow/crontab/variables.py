"""The meaning of a crontab's variables for its jobs: some are cron's own, the others reach the commands.

cron's own are MAILTO and MAILFROM (who gets mail), SHELL (what runs the command), HOME (where it starts), cronie's CRON_TZ and
RANDOM_DELAY (when it starts), and those of anacron (START_HOURS_RANGE, RANDOM_DELAY)."""

from __future__ import annotations

from typing import Any

from cronflow.crontab.tables import Daemon, Refusal, Setting, TableKind

OF_MAILS = ("CONTENT_TYPE", "CONTENT_TRANSFER_ENCODING")
OF_ANACRON = ("START_HOURS_RANGE", "RANDOM_DELAY", "PREFERRED_HOUR", "NO_MAIL_OUTPUT")
OF_SYSTEMD_CRON = ("PERSISTENT", "START_HOURS_RANGE", "BATCH", "CRON_UNIQUE_UNITS", "CRON_MAIL_SUCCESS", "CRON_MAIL_FORMAT")
CRON_PATH = "/usr/bin:/bin"
"""cron's PATH for a command if the crontab sets none (crontab(5) of Debian and cronie)."""


def check(setting: Setting, text: str, kind: TableKind, daemon: Daemon) -> Refusal | str | None:
    """Check a setting; returns why it cannot be imported, a note, or None."""
    name, value = setting.name, setting.value
    if name in ("SHELL", "HOME") and not value.startswith("/"):
        effect = "starts no job with it" if name == "SHELL" else "does not find the folder and starts jobs elsewhere"
        rule = f"`{name}` is not an absolute path: cron {effect}"
        return Refusal(setting.line, text, rule, "write the whole path", 1, len(text))
    if name == "CRON_TZ" and daemon != "debian" and value:
        from cronflow.core.time.schedule import ZoneError, check_zone  # the time zone database: for tables that name one

        try:
            check_zone(value)
        except ZoneError as error:
            rule = f"there is no time zone `{value}`: cronie uses UTC"
            return Refusal(setting.line, text, rule, error.hint, 1, len(text))
        return None if daemon == "cronie" else "`CRON_TZ` is cronie's; to Debian's cron it is an ordinary variable"
    if name == "RANDOM_DELAY" and daemon != "debian" and _minutes(value) is None:
        rule = f"`RANDOM_DELAY` is a number of minutes from 0 to 1440, and cronie ignores `{value}`"
        return Refusal(setting.line, text, rule, "", 1, len(text))
    return setting.note or _remark(name, kind, daemon)


def _remark(name: str, kind: TableKind, daemon: Daemon) -> str | None:
    if name == "RANDOM_DELAY" and kind != "anacron" and daemon != "debian":
        note = "cronie delays all jobs below it by the same random time, picked when it starts; `jitter` delays each by its own"
        return note if daemon == "cronie" else f"{note}; to Debian's cron it is an ordinary variable"
    if name == "LOGNAME" and kind != "anacron":
        return "cron always sets `LOGNAME` itself: left out"
    if name in OF_MAILS:
        return f"`{name}` is about cron's mails: left out"
    if name in OF_SYSTEMD_CRON and kind != "anacron":
        return f"`{name}` only means something to systemd-cron; to cron it is an ordinary variable, as it is here"
    return None


def _minutes(value: str) -> int | None:
    digits = value.strip()
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 5 and int(digits) <= 1440 else None


def own(kind: TableKind, daemon: Daemon) -> frozenset[str]:
    """The variables that are not part of a job's environment."""
    names = {"MAILTO", "MAILFROM", "SHELL", *OF_MAILS}
    if kind == "anacron":
        return frozenset((*names, *OF_ANACRON))
    if daemon != "debian":
        names |= {"CRON_TZ", "RANDOM_DELAY"}
    return frozenset((*names, "LOGNAME"))


def keys(values: dict[str, str], kind: TableKind, daemon: Daemon) -> dict[str, Any]:
    """The keys of a job that come from variables: `timezone`, `jitter`, `cwd`, `shell` and `env`."""
    given: dict[str, Any] = {}
    if daemon != "debian" and values.get("CRON_TZ"):
        given["timezone"] = values["CRON_TZ"]
    delay = _minutes(values.get("RANDOM_DELAY", "")) if daemon != "debian" or kind == "anacron" else None
    if delay:
        given["jitter"] = f"{delay}m"
    if "SHELL" in values:
        given["shell"] = values["SHELL"]
    if kind == "anacron":
        given["cwd"] = "/"
    elif "HOME" in values:
        given["cwd"] = values["HOME"]
    mine = own(kind, daemon)
    env = {name: value for name, value in values.items() if name not in mine}
    if kind != "anacron" and daemon != "busybox":
        env.setdefault("PATH", CRON_PATH)
    if env:
        given["env"] = env
    return given
