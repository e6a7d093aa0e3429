"""A living daemon, or at first only a folder for one, for each test that wants one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.daemon.live import Live, living


@pytest.fixture
def live() -> Iterator[Live]:
    with living() as one:
        yield one
