from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from cronflow.keeper import journal
from cronflow.keeper.journal import PAGE, Journal


@pytest.fixture
def book(tmp_path: Path) -> Journal:
    return Journal.create(os.open(tmp_path / "1.journal", os.O_RDWR | os.O_CREAT), {"generation": 1})


def heirs_view(book: Journal) -> dict[str, dict[str, object]]:
    return {record["id"]: record for _, record, _ in Journal(book.fd).take_over()}


def test_an_heir_sees_what_was_written_last(book: Journal) -> None:
    first = book.claim({"id": "a", "state": "claimed"})
    book.claim({"id": "b", "state": "claimed"})
    book.write(first, {"id": "a", "state": "ended", "status": 256})
    assert heirs_view(book) == {
        "a": {"id": "a", "state": "ended", "status": 256},
        "b": {"id": "b", "state": "claimed"},
    }


def test_a_freed_page_is_used_again_and_bears_no_old_mark(book: Journal) -> None:
    page = book.claim({"id": "a"})
    os.pwrite(book.fd, b"4711 1\n", book.mark_at(page))
    os.pwrite(book.fd, b"cwd 2 1.5\n", book.mark_at(page) + journal.FAILURE)
    assert journal.read_mark(book.fd, page) == journal.Mark(4711, 1, ("cwd", 2, 1.5))
    book.free(page)
    assert heirs_view(book) == {}
    assert book.claim({"id": "b"}) == page
    assert journal.read_mark(book.fd, page) is None


def test_a_mark_counts_before_the_parent_has_completed_it(book: Journal) -> None:
    page = book.claim({"id": "a"})
    os.pwrite(book.fd, b"4711 ", book.mark_at(page))
    assert journal.read_mark(book.fd, page) == journal.Mark(4711, 0, None)


def test_a_torn_page_is_left_out_and_the_others_are_read(book: Journal) -> None:
    page = book.claim({"id": "a", "state": "claimed"})
    book.claim({"id": "b"})
    os.pwrite(book.fd, b"#", page * PAGE + 20)
    assert heirs_view(book) == {"b": {"id": "b"}}


def test_it_grows_ahead_of_need(book: Journal) -> None:
    for number in range(200):
        book.claim({"id": f"{number}"})
    assert len(heirs_view(book)) == 200
    assert os.fstat(book.fd).st_size >= (200 + journal.AHEAD) * PAGE
    assert os.fstat(book.fd).st_blocks * 512 >= os.fstat(book.fd).st_size


def test_a_record_that_does_not_fit_changes_nothing(book: Journal) -> None:
    page = book.claim({"id": "a"})
    with pytest.raises(journal.RecordTooLongError):
        book.claim({"id": "b" * PAGE})
    with pytest.raises(journal.RecordTooLongError):
        book.write(page, {"id": "a" * PAGE})
    assert heirs_view(book) == {"a": {"id": "a"}}


def test_the_lock_is_the_life_of_a_keeper(book: Journal, tmp_path: Path) -> None:
    held = os.open(tmp_path / "1.journal", os.O_RDWR)
    fcntl.flock(held, fcntl.LOCK_EX)
    assert journal.locked(book.fd)
    os.close(held)
    assert not journal.locked(book.fd)
