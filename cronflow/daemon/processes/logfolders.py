"""The folders of the logs: a shelf for each thousand runs, and on it a folder for each run (see `Places.log`)."""

from __future__ import annotations

import os

from cronflow.places import Places


def numbers_in(folder: str) -> list[int]:
    """The shelves in the folder of all logs, or the runs on a shelf; nothing where it cannot be read."""
    try:
        return [int(name) for name in os.listdir(folder) if name.isdecimal()]
    except OSError:
        return []


def newest_logged(places: Places) -> int:
    """The highest number of a run that has logs; 0 without any."""
    logs = places.state / "logs"
    shelf = max(numbers_in(str(logs)), default=None)
    return 0 if shelf is None else max(numbers_in(str(logs / str(shelf))), default=0)
