"""`cronflow export`: where it writes, what it never overwrites, how it ends."""

from __future__ import annotations

import os

import pytest

from tests.cli_app.conftest import Cli

TARGETS = ("crontab", "systemd", "airflow", "dagu")


def test_the_result_is_on_standard_output_and_what_is_lost_beside_it(cli: Cli) -> None:
    cli.file.write_text('[jobs.a]\nschedule = "0 4 * * *"\ncommand = "true"\nretries = 2\ntimezone = "Europe/Berlin"\n')
    done = cli("export", "crontab")
    assert done.status == 0
    assert done.out.endswith("\n0 4 * * * true\n")
    assert "#   lost: `retries = 2`: a failed attempt is not retried\n" in done.out
    assert done.err.splitlines()[0] == "1 of 1 job written"
    assert "  a: `retries = 2`: a failed attempt is not retried\n" in done.err


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_writes_to_a_place_and_nowhere_else(target: str, cli: Cli) -> None:
    before = set(os.listdir(cli.folder))
    place = cli.folder / "out"
    done = cli("export", target, "-o", "out")
    assert done.out == ""
    assert f"written to {'out'}" in done.err
    assert set(os.listdir(cli.folder)) == before | {"out"}
    assert place.is_dir() == (target in ("systemd", "dagu"))
    assert "  next: " in done.err


def test_exit_status_1_if_a_job_is_left_out(cli: Cli) -> None:
    done = cli("export", "crontab", "-o", "table")
    assert done.status == 1
    assert "  sweep: not written: it starts only by hand, and cron starts by time\n" in done.err
    assert "extract -> load" in (cli.folder / "table").read_text(), "the others are written"
    assert cli("export", "systemd").status == 0


@pytest.mark.parametrize("target", ["crontab", "systemd"])
def test_what_is_there_and_differs_is_not_overwritten(target: str, cli: Cli) -> None:
    cli("export", target, "-o", "out")
    assert cli("export", target, "-o", "out").status in (0, 1), "the same once more"
    path = cli.folder / "out"
    path = path / "job-load.service" if target == "systemd" else path
    was = path.read_text()
    path.write_text("mine\n")
    if target == "systemd":
        (path.parent / "job-sweep.service").unlink()
    done = cli("export", target, "-o", "out")
    assert done.status == 1
    assert f"`{path.relative_to(cli.folder)}` is there already, and differs" in done.err
    assert path.read_text() == "mine\n"
    assert not (path.parent / "job-sweep.service").exists(), "none of the files is written"
    cli("export", target, "-o", "out", "--force")
    assert path.read_text() == was


def test_json(cli: Cli) -> None:
    answer = cli("export", "crontab", "--json").json
    assert answer["schema"] == 1
    assert answer["target"] == "crontab"
    assert [(file["path"], file["text"].count("extract -> load")) for file in answer["files"]] == [(None, 1)]
    assert {"job", "key", "message"} == answer["lost"][0].keys()
    assert answer["not_written"] == [{"job": "sweep", "message": "it starts only by hand, and cron starts by time"}]
    answer = cli("export", "dagu", "--json", "-o", "out").json
    assert [file["path"] for file in answer["files"]] == ["out/extract.yaml", "out/sweep.yaml"]


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (("fcron",), 2, "`TARGET` is one of `crontab`, `systemd`, `airflow`, `dagu`, not `fcron`"),
        ((), 2, "TARGET"),
        (("systemd", "--system"), 2, "`--system` is for crontab"),
        (("crontab", "--user"), 2, "`--user` is for systemd"),
        (("systemd", "-o", "jobs.toml"), 1, "`jobs.toml` is a file"),
        (("crontab", "-o", "state"), 1, "`state` is a folder"),
        (("crontab", "-o", "no/such/folder"), 1, "cannot be written: no such file or directory"),
        (("dagu", "-o", "jobs.toml/x"), 1, "cannot be written: "),
    ],
)
def test_words_that_do_not_do(words: tuple[str, ...], status: int, told: str, cli: Cli) -> None:
    done = cli("export", *words)
    assert (done.status, done.out) == (status, "")
    assert told in done.err
    assert "Traceback" not in done.err


def test_a_job_file_with_errors_is_not_exported(cli: Cli) -> None:
    cli.file.write_text("[jobs.a]\nschedule = 'x'\ncommand = 'true'\n")
    for target in TARGETS:
        done = cli("export", target, "-o", "out")
        assert (done.status, done.out) == (1, "")
        assert "jobs.toml:2" in done.err
    assert not (cli.folder / "out").exists()


def test_a_file_without_jobs(cli: Cli) -> None:
    cli.file.write_text("")
    for target in TARGETS:
        done = cli("export", target)
        assert done.status == 0
        assert "0 of 0 jobs written" in done.err
