"""Turns MAILTO, who gets cron's mails, into alert targets."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import quote

from cronflow.core.words import untaken
from cronflow.crontab.naming import slug

SENDER = "root"
"""The sender of cron's mails without MAILFROM."""


class MailTarget(NamedTuple):
    """`[alerts.NAME]`: an Apprise URL that hands mail to this machine's own mail server."""

    name: str
    url: str
    mailto: str


def addresses(mailto: str) -> list[str]:
    """The addresses of a MAILTO, which are separated by commas and blanks."""
    return [word for word in re.split(r"[\s,]+", mailto.strip()) if word]


class MailTargets:
    """The alert targets of all crontabs, each once, in the order of their lines."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], MailTarget] = {}

    def of(self, mailto: str, mailfrom: str) -> MailTarget:
        """The target for a MAILTO and a MAILFROM."""
        key = (mailto.strip(), mailfrom.strip())
        if key not in self._found:
            self._found[key] = MailTarget(self._name(key[0]), _url(*key), key[0])
        return self._found[key]

    def _name(self, mailto: str) -> str:
        taken = {target.name for target in self._found.values()}
        name = slug(addresses(mailto)[0].partition("@")[0]) or "mail"
        name = name if re.search("[a-z]", name) else f"mail-{name}"
        return untaken(name, taken)

    @property
    def all(self) -> list[MailTarget]:
        """All targets, in the order in which they were asked for."""
        return list(self._found.values())


def _url(mailto: str, mailfrom: str) -> str:
    sender = addresses(mailfrom)[0] if addresses(mailfrom) else SENDER
    receivers = ",".join(_whole(address) for address in addresses(mailto))
    return f"mailto://localhost?from={_quoted(_whole(sender))}&to={_quoted(receivers)}"


def _whole(address: str) -> str:
    """A user of this machine as a mail address."""
    return address if "@" in address else f"{address}@localhost"


def _quoted(text: str) -> str:
    return quote(text, safe="@,._-")
