"""A living daemon for each test that wants one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.alerts.conftest import mail, web  # noqa: F401 (fixtures of tests here too)
from tests.daemon.live import Live, living


@pytest.fixture
def live() -> Iterator[Live]:
    with living() as one:
        yield one
