"""Checks whether alerts can be sent: the URLs of each target exist, are hidden from others, and Apprise understands them."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from cronflow.core.words import count
from cronflow.doctor.finding import Context, Finding, ok, problem, warning
from cronflow.doctor.jobs import daemon_environ, exposed
from cronflow.errors import CronflowError


def check_alerts(context: Context) -> Iterator[Finding]:
    """All alert targets. Of a URL only the scheme is shown: it holds passwords and tokens."""
    if context.jobs is None:
        return
    if not context.jobs.alerts:
        hint = "add `[alerts.ops]` to the job file; `cronflow alerts test` tries it"
        yield warning("alerts", "nobody is alerted when a job fails", hint)
        return
    from cronflow.alerts.sender import resolve
    from cronflow.jobfile.checks import refused_urls

    folder = str(context.places.file.parent)
    for name, target in context.jobs.alerts.items():
        try:
            urls = resolve(target, daemon_environ(context), folder)
        except CronflowError as error:
            yield problem("alerts", error.message, error.hint)
            continue
        if target.url_file is not None:
            path = os.path.join(folder, os.path.expanduser(target.url_file))
            if (fault := exposed(path, f"the URLs of alert `{name}`", os.geteuid())) is not None:
                yield warning("alerts_mode", *fault)
        elif _in_the_open(target.urls, context.places.file):
            message = f"others may read `{context.places.file}`, which holds the URLs of alert `{name}`"
            yield warning("alerts_mode", message, f"`chmod 600 {context.places.file}`, or keep them in a `url_file`")
        refused = refused_urls(urls)
        if refused:
            scheme = refused[0].partition("://")[0]
            message = f"Apprise does not understand a `{scheme}://` URL of alert `{name}`, or lacks a module for it"
            yield problem("alerts", message, f"`cronflow alerts test {name}` shows more")
        else:
            yield ok("alerts", f"alert `{name}` has {count(len(urls), 'URL')}")


def _in_the_open(urls: Iterable[str], file: Path) -> bool:
    """Whether others can read the job file and it holds a secret URL: any but a mail URL without a password."""
    if not file.stat().st_mode & stat.S_IRWXO:
        return False
    text = file.read_text(encoding="utf-8")
    return any(url in text and not re.match(r"mailtos?://[^:/?@]*(\?|/?$)", url) for url in urls)
