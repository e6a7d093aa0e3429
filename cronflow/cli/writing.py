"""Files that a person has asked for, written where nothing is yet, and what to say where that fails."""

from __future__ import annotations

import os

from cronflow.errors import CronflowError, Exit


def create(path: str, text: str, taken: str, elsewhere: str) -> None:
    """Write a file that is not there yet. `taken` and `elsewhere` are the hints of the CronflowError: there is one already, or it
    cannot be made."""
    try:
        # O_EXCL: of two who come at once, one is told; 0644: root runs no file that others can write
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except FileExistsError:
        raise CronflowError(f"`{path}` is there already", taken) from None
    except OSError as error:
        raise failed(error, "made", elsewhere) from None
    with open(fd, "w", encoding="utf-8") as file:
        file.write(text)


def failed(error: OSError, what: str, hint: str | None) -> CronflowError:
    """The error for a file that cannot be made, read or written (`what`); exit status 5 where the rights are missing."""
    status = Exit.NOT_PERMITTED if isinstance(error, PermissionError) else Exit.FAILED
    why = (error.strerror or str(error)).lower()
    return CronflowError(f"`{error.filename or '-'}` cannot be {what}: {why}", hint, status)
