"""Text for SQLite, which takes only what is UTF-8."""

from __future__ import annotations

import os


def name_of(path: str) -> str | bytes:
    """A path for the database, as bytes where it is no UTF-8, so that it is given back as it is."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return os.fsencode(path)
    return path


def storable(text: str) -> str:
    """A text that SQLite takes: bytes of a command line or path that are no UTF-8 are written as escapes (PEP 383)."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
