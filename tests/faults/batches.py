"""The trials of a row in batches, one after the other or in several processes at the same time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import NamedTuple

from tests.faults import rows
from tests.faults.rows import NotTestedError, Outcome, Row, every


class Batch(NamedTuple):
    """Trials that one process makes, one after the other; 0: every one there is."""

    row: str
    trials: int
    seed: int


def plan(row: Row, left: int, seed: int) -> list[Batch]:
    """So many trials of a row in its batches; 0: every one there is."""
    size = row.batch or left
    if not left:
        return [Batch(row.name, 0, seed)]
    return [Batch(row.name, min(size, left - begun), seed + number) for number, begun in enumerate(range(0, left, size))]


def run(whole: list[Batch], jobs: int) -> Iterator[tuple[Batch, Outcome | str]]:
    """Several batches in as many processes as may be; one alone here, with as many threads, if it has a use for them."""
    if len(whole) == 1 or jobs == 1:
        rows.at_once = jobs
        for batch in whole:
            yield batch, made(batch)
        return
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        going = {pool.submit(made, batch): batch for batch in whole}
        for done in as_completed(going):
            yield going[done], done.result()


def made(batch: Batch) -> Outcome | str:
    """What came of it, or why it cannot be tested here."""
    (row,) = (row for row in every() if row.name == batch.row)
    began = time.monotonic()
    try:
        outcome = row.run(batch.trials, batch.seed)
    except NotTestedError as why:
        return str(why)
    except AssertionError as fault:
        outcome = Outcome(0, wrong=(f"seed {batch.seed} did not come to its end: {fault}",))
    return outcome._replace(seconds=round(time.monotonic() - began, 1))
