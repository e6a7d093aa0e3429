"""Names of files for SQLite, which takes text only where it is UTF-8."""

from __future__ import annotations

import os


def name_of(path: str) -> str | bytes:
    """A path for the database, as bytes where it is no UTF-8, so that it is given back as it is."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return os.fsencode(path)
    return path
