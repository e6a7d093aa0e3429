"""Which files are new or changed, and quiet: looks and times are given, no file is touched."""

from __future__ import annotations

from cronflow.watch.debounce import BASELINE, Arrived, Debounce
from cronflow.watch.folders import ScanResult

SETTLE = 2.0
HOME = "7"
KNOWN = dict([BASELINE])


def found(files: dict[str, str], **others: object) -> ScanResult:
    """A look into `/in`, whose number is 7; stamps are single words."""
    bases = others.pop("bases", {"/in": HOME})
    assert isinstance(bases, dict)
    number = bases.get("/in", HOME)
    return ScanResult({f"/in/{name}": f"{word} {number}" for name, word in files.items()}, bases, **others)  # type: ignore[arg-type]


def settling(**known: str) -> Debounce:
    return Debounce(SETTLE, {**KNOWN, **{f"/in/{name}": f"{word} {HOME}" for name, word in known.items()}})


def tell(files: Debounce) -> Arrived:
    """What is told, and has been saved."""
    news = files.arrived()
    files.remember(dict(news.seen))
    return news


def test_the_first_look_is_known_and_starts_nothing() -> None:
    files = Debounce(SETTLE, {})
    files.update(found({"a": "1"}), 0.0)
    assert tell(files) == Arrived((), (BASELINE, ("/in/a", "1 7")))
    files.update(found({"a": "1"}), 30.0)
    assert tell(files) == Arrived()


def test_an_empty_folder_too_has_a_first_look() -> None:
    files = Debounce(SETTLE, {})
    files.update(found({}), 0.0)
    assert tell(files).seen == (BASELINE,)
    files.update(found({"a": "1"}), 10.0)
    files.update(found({"a": "1"}), 12.0)
    assert tell(files).paths == ("/in/a",)


def test_a_new_file_is_told_once_it_has_been_quiet() -> None:
    files = settling()
    files.update(found({"a": "1"}), 10.0)
    assert tell(files) == Arrived()
    assert files.scan_again_at() == 12.0
    files.update(found({"a": "1"}), 11.9)
    assert tell(files) == Arrived()
    files.update(found({"a": "1"}), 12.0)
    assert tell(files) == Arrived(("/in/a",), (("/in/a", "1 7"),))
    assert files.scan_again_at() is None
    files.update(found({"a": "1"}), 13.0)
    assert tell(files) == Arrived()


def test_a_file_that_goes_on_changing_is_not_told() -> None:
    files = settling()
    for second in range(60):
        files.update(found({"a": str(second)}), float(second))
        assert tell(files) == Arrived()
    files.update(found({"a": "59"}), 61.0)
    assert tell(files).paths == ("/in/a",)


def test_a_known_file_that_changes_is_told() -> None:
    files = settling(a="1", b="1")
    files.update(found({"a": "2", "b": "1"}), 0.0)
    files.update(found({"a": "2", "b": "1"}), 2.0)
    assert tell(files).paths == ("/in/a",)


def test_a_change_that_is_taken_back_is_none() -> None:
    files = settling(a="1")
    files.update(found({"a": "2"}), 0.0)
    files.update(found({"a": "1"}), 1.0)
    files.update(found({"a": "1"}), 5.0)
    assert tell(files) == Arrived()


def test_files_that_come_together_are_told_together() -> None:
    files = settling()
    files.update(found({"a": "1"}), 0.0)
    files.update(found({"a": "1", "b": "1"}), 1.5)
    files.update(found({"a": "1", "b": "1"}), 2.0)
    assert tell(files) == Arrived()
    files.update(found({"a": "1", "b": "1"}), 3.5)
    assert tell(files).paths == ("/in/a", "/in/b")


def test_a_stream_without_end_does_not_hold_up_what_is_quiet() -> None:
    files = settling()
    names: dict[str, str] = {}
    told: list[str] = []
    for second in range(100):
        names[f"{second:03}"] = "1"
        files.update(found(names), float(second))
        told += tell(files).paths
    assert told[:2] == ["/in/000", "/in/001"]
    assert len(told) == len(set(told)) > 70


def test_a_temporary_name_is_never_told() -> None:
    files = settling()
    files.update(found({"a.tmp": "1"}), 0.0)
    files.update(found({"a": "1"}), 1.0)
    files.update(found({"a": "1"}), 3.0)
    assert tell(files) == Arrived(("/in/a",), (("/in/a", "1 7"),))


def test_a_file_that_is_gone_is_forgotten_and_may_come_again() -> None:
    files = settling(a="1")
    files.update(found({}), 0.0)
    assert tell(files) == Arrived((), (("/in/a", None),))
    files.update(found({"a": "1"}), 1.0)
    files.update(found({"a": "1"}), 3.0)
    assert tell(files).paths == ("/in/a",)


def test_what_was_not_saved_is_told_again_with_what_came_since() -> None:
    files = settling()
    files.update(found({"a": "1"}), 0.0)
    files.update(found({"a": "1"}), 2.0)
    assert files.arrived().paths == ("/in/a",)
    files.update(found({"a": "1", "b": "1"}), 3.0)
    files.update(found({"a": "1", "b": "1"}), 5.0)
    assert files.arrived().paths == ("/in/a", "/in/b")


def test_a_file_that_changed_between_telling_and_saving_is_told_again() -> None:
    files = settling()
    files.update(found({"a": "1"}), 0.0)
    files.update(found({"a": "1"}), 2.0)
    told = files.arrived()
    files.update(found({"a": "2"}), 3.0)
    files.remember(dict(told.seen))
    files.update(found({"a": "2"}), 5.0)
    assert tell(files).paths == ("/in/a",)


def test_a_disk_that_is_not_mounted_takes_nothing_from_what_is_known() -> None:
    files = settling(a="1")
    files.update(found({}, bases={"/in": "1"}), 0.0)
    assert tell(files) == Arrived()
    files.update(found({}, bases={}), 10.0)
    assert tell(files) == Arrived()
    files.update(found({"a": "1"}), 20.0)
    files.update(found({"a": "1"}), 30.0)
    assert tell(files) == Arrived()


def test_another_folder_with_files_of_its_own_takes_the_place_of_the_old_one() -> None:
    files = settling(a="1")
    files.update(found({"b": "1"}, bases={"/in": "8"}), 0.0)
    files.update(found({"b": "1"}, bases={"/in": "8"}), 2.0)
    assert tell(files) == Arrived(("/in/b",), (("/in/b", "1 8"), ("/in/a", None)))


def test_what_cannot_be_read_is_not_gone() -> None:
    files = settling(**{"a": "1", "deep/b": "1"})
    files.update(found({}, unread=["/in/deep"]), 0.0)
    assert tell(files) == Arrived((), (("/in/a", None),))
