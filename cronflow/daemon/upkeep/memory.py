"""Gives back to the machine the memory that was needed only while the job file and the database were read.

Python gives memory back by the megabyte, once nothing in it is in use. The objects of a large job file are scattered among what
was needed only for reading it, and keep all of that; so they are pickled, dropped, and read again into less.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from cronflow.core.jobs import NOTHING, Job
from cronflow.jobfile.read import Reading
from cronflow.linux import libc
from cronflow.store.store import Store

LARGE = 2000
"""Jobs from which on it is worth the time, some 20 microseconds for each."""


def give_back(store: Store) -> None:
    """Have SQLite drop what it can read again, and the C library give back what is free: malloc_trim(3), where there is one. The
    allocator of Python gives back by itself what it can."""
    store.shrink()
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)


def compact(read: Callable[[], Reading]) -> Reading:
    """What `read` returns, equal to it in every value; a large one in memory of its own. Nobody else may hold it: what is held
    cannot be given back."""
    import io
    import pickle  # before anything is read: modules last

    reading = read()
    if len(reading.jobs.jobs) < LARGE:
        return reading

    class Pen(pickle.Pickler):
        """Writes what differs from the default alone, and equal texts once."""

        def reducer_override(self, thing: Any) -> Any:
            if type(thing) is Job:
                return _job, ({name: texts.setdefault(one, one) if _text(one) else one for name, one in _said(thing)},)
            return (_proxy, (dict(thing),)) if type(thing) is MappingProxyType else NotImplemented

    texts: dict[Any, Any] = {}
    written = io.BytesIO()
    Pen(written, pickle.HIGHEST_PROTOCOL).dump(reading)
    texts.clear()
    del reading
    written.seek(0)
    again: Reading = pickle.load(written)
    return again


def _said(job: Job) -> list[tuple[str, Any]]:
    defaults = Job._field_defaults
    return [(name, one) for name, one in zip(Job._fields, job, strict=True) if name not in defaults or one is not defaults[name]]


def _text(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, tuple) and all(isinstance(one, str) for one in value))


def _job(values: Mapping[str, Any]) -> Job:
    return Job(**values)


def _proxy(values: dict[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType(values) if values else NOTHING
