from __future__ import annotations

from pathlib import Path

import pytest

from cronflow.jobfile.machine import has_folder, has_group, has_program, has_user, known_zone, machine_zone


@pytest.fixture(autouse=True)
def _no_tz(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TZ", raising=False)


def zone(tmp_path: Path, link: str | None = None, text: str | None = None) -> str:
    localtime, timezone = tmp_path / "localtime", tmp_path / "timezone"
    if link is not None:
        localtime.symlink_to(link)
    if text is not None:
        timezone.write_text(text)
    return machine_zone(str(localtime), str(timezone))


def test_the_link(tmp_path: Path) -> None:
    assert zone(tmp_path, "/usr/share/zoneinfo/Europe/Rome", "Asia/Tokyo\n") == "Europe/Rome"


def test_a_copy_instead_of_a_link(tmp_path: Path) -> None:
    (tmp_path / "localtime").write_bytes(b"TZif2")
    assert zone(tmp_path, None, "Asia/Tokyo\n") == "Asia/Tokyo"


def test_nothing_known(tmp_path: Path) -> None:
    assert zone(tmp_path) == "UTC"
    assert zone(tmp_path, "/usr/share/zoneinfo/Mars/Base", "No/Where\n") == "UTC"


@pytest.mark.parametrize("tz", ["Asia/Tokyo", ":Asia/Tokyo", "/usr/share/zoneinfo/Asia/Tokyo"])
def test_tz_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tz: str) -> None:
    monkeypatch.setenv("TZ", tz)
    assert zone(tmp_path, "/usr/share/zoneinfo/Europe/Rome") == "Asia/Tokyo"


def test_a_posix_rule_in_tz_names_no_zone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    assert zone(tmp_path, "/usr/share/zoneinfo/Europe/Rome") == "Europe/Rome"


def test_zones() -> None:
    assert known_zone("Europe/Berlin")
    assert not any(known_zone(name) for name in ("", "Berlin", "../etc/passwd", "/etc/localtime", "Europe", "a\0b"))


def test_what_is_here() -> None:
    assert has_user("root")
    assert has_user("0")
    assert has_group("root")
    assert not has_user("no-such-user-here")
    assert not has_user("99999999999999999999")
    assert not has_group("no-such-group-here")
    assert has_folder("/tmp")
    assert has_program("sh", "/usr/bin:/bin")
    assert not has_program("sh", "/no/such/folder")
