"""Whether alerts have where to go: each target's URLs are there, hidden from others, and understood by Apprise."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from cronflow.doctor.finding import Finding, Scene, ok, problem, warning
from cronflow.doctor.jobs import environ_of, exposed
from cronflow.errors import CronflowError


def alerts(scene: Scene) -> Iterator[Finding]:
    """Each target. Nothing of a URL is told but its scheme: it holds passwords and tokens."""
    if scene.jobs is None:
        return
    if not scene.jobs.alerts:
        hint = "add `[alerts.ops]` to the job file; `cronflow alerts test` tries it"
        yield warning("alerts", "nobody is told when a job fails", hint)
        return
    from cronflow.alerts.sender import resolve

    folder = str(scene.places.file.parent)
    for name, target in scene.jobs.alerts.items():
        try:
            urls = resolve(target, environ_of(scene), folder)
        except CronflowError as error:
            yield problem("alerts", error.message, error.hint)
            continue
        if target.url_file is not None:
            path = os.path.join(folder, os.path.expanduser(target.url_file))
            if (fault := exposed(path, f"the URLs of alert `{name}`", os.geteuid())) is not None:
                yield warning("alerts_mode", *fault)
        elif _in_the_open(target.urls, scene.places.file):
            told = f"others may read `{scene.places.file}`, which holds the URLs of alert `{name}`"
            yield warning("alerts_mode", told, f"`chmod 600 {scene.places.file}`, or keep them in a `url_file`")
        refused = _refused(urls)
        if refused:
            told = f"Apprise does not understand a `{refused[0]}://` URL of alert `{name}`, or lacks a module for it"
            yield problem("alerts", told, f"`cronflow alerts test {name}` tells more")
        else:
            yield ok("alerts", f"alert `{name}` has {len(urls)} URL{'s' if len(urls) > 1 else ''}")


def _in_the_open(urls: Iterable[str], file: Path) -> bool:
    """Whether the job file can be read by others and holds a URL that is a secret: any but those of mail without a password."""
    if not file.stat().st_mode & stat.S_IRWXO:
        return False
    text = file.read_text(encoding="utf-8")
    return any(url in text and not re.match(r"mailtos?://[^:/?@]*(\?|/?$)", url) for url in urls)


def _refused(urls: list[str]) -> list[str]:
    """The schemes of the URLs that Apprise does not take."""
    import logging

    import apprise

    log = logging.getLogger("apprise")
    before, log.disabled = log.disabled, True  # what it logs of a URL that it refuses names the token
    try:
        return [url.partition("://")[0] for url in urls if apprise.Apprise.instantiate(url, suppress_exceptions=True) is None]
    finally:
        log.disabled = before
