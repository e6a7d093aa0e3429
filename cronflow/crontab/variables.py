"""What the variables of a table mean for its jobs: some are cron's own, the others reach the commands.

cron's own are MAILTO and MAILFROM (who is told), SHELL (what runs the command), HOME (where it starts), CRON_TZ and RANDOM_DELAY
(cronie: when), and what anacron reads (START_HOURS_RANGE, RANDOM_DELAY)."""

from __future__ import annotations

from typing import Any, NamedTuple

from cronflow.crontab.tables import Daemon, Kind, Refusal, Setting

OF_MAILS = ("CONTENT_TYPE", "CONTENT_TRANSFER_ENCODING")
OF_ANACRON = ("START_HOURS_RANGE", "RANDOM_DELAY", "PREFERRED_HOUR", "NO_MAIL_OUTPUT")
OF_SYSTEMD_CRON = ("PERSISTENT", "START_HOURS_RANGE", "BATCH", "CRON_UNIQUE_UNITS", "CRON_MAIL_SUCCESS", "CRON_MAIL_FORMAT")
CRON_PATH = "/usr/bin:/bin"
"""PATH of a command of cron where the table sets none (crontab(5) of Debian and cronie)."""


class Held(NamedTuple):
    """Variables as they stand at a line of a table, and the line of each."""

    values: dict[str, str]
    lines: dict[str, int]


def check(setting: Setting, text: str, kind: Kind, daemon: Daemon) -> Refusal | str | None:
    """What there is to say of a setting: why it cannot be imported, or a note, or nothing."""
    name, value = setting.name, setting.value
    if name in ("SHELL", "HOME") and not value.startswith("/"):
        what = "starts no job with it" if name == "SHELL" else "finds no such folder and starts jobs elsewhere"
        return Refusal(setting.line, text, f"`{name}` is no absolute path: cron {what}", "write the whole path", 1, len(text))
    if name == "CRON_TZ" and daemon != "debian" and value:
        from cronflow.core.time.schedule import ZoneError, check_zone  # the time zone database: for tables that name one

        try:
            check_zone(value)
        except ZoneError as error:
            rule = f"there is no time zone `{value}`: cronie takes UTC"
            return Refusal(setting.line, text, rule, error.hint, 1, len(text))
        return None if daemon == "cronie" else "`CRON_TZ` is cronie's; to Debian's cron it is a variable like others"
    if name == "RANDOM_DELAY" and daemon != "debian" and _minutes(value) is None:
        rule = f"`RANDOM_DELAY` is a number of minutes from 0 to 1440, and cronie ignores `{value}`"
        return Refusal(setting.line, text, rule, "", 1, len(text))
    return setting.note or _remark(name, kind, daemon)


def _remark(name: str, kind: Kind, daemon: Daemon) -> str | None:
    if name == "RANDOM_DELAY" and kind != "anacron" and daemon != "debian":
        told = "cronie moves all jobs below it by one random delay, picked when it starts; `jitter` moves each by its own"
        return told if daemon == "cronie" else f"{told}; to Debian's cron it is a variable like others"
    if name == "LOGNAME" and kind != "anacron":
        return "cron sets `LOGNAME` itself, whatever a table says: left out"
    if name in OF_MAILS:
        return f"`{name}` is about the mails of cron: left out"
    if name in OF_SYSTEMD_CRON and kind != "anacron":
        return f"`{name}` means something to systemd-cron only; to cron it is a variable like others, and so it is here"
    return None


def _minutes(value: str) -> int | None:
    digits = value.strip()
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 5 and int(digits) <= 1440 else None


def own(kind: Kind, daemon: Daemon) -> frozenset[str]:
    """The variables that are no part of the environment of a job."""
    names = {"MAILTO", "MAILFROM", "SHELL", *OF_MAILS}
    if kind == "anacron":
        return frozenset((*names, *OF_ANACRON))
    if daemon != "debian":
        names |= {"CRON_TZ", "RANDOM_DELAY"}
    return frozenset((*names, "LOGNAME"))


def keys(values: dict[str, str], kind: Kind, daemon: Daemon) -> dict[str, Any]:
    """The keys of a job that variables give: `timezone`, `jitter`, `cwd`, `shell` and `env`."""
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
