"""What a turn of the engine passes through stays little: a bound is what has been reached and a third at most."""

from __future__ import annotations

import pytest

from tests.costs.calls import TURNS, Call, calls_of, files_of


@pytest.mark.parametrize(
    ("what", "calls", "files"),
    [("an exit status that starts a successor", 85, 16), ("a slot that fires", 150, 24)],
)
def test_a_turn_passes_through_few_calls_and_files(what: str, calls: int, files: int) -> None:
    found = TURNS[what]()
    assert len(found) <= calls
    assert len(files_of(found)) <= files


def test_a_call_is_counted_below_its_caller_and_a_generator_once() -> None:
    from cronflow.core.jobs import Job
    from cronflow.core.plan.copies import matrix_copies

    job = Job("a", "true", matrix={"region": ("eu", "us")})
    found = calls_of(lambda: list(matrix_copies(job)))
    assert found == [
        Call(0, "matrix_copies", "plan/copies.py"),
        Call(1, "label", "plan/copies.py"),
        Call(1, "label", "plan/copies.py"),
    ]
    assert files_of(found) == {"plan/copies.py": 3}
