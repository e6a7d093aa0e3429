"""`cronflow import`: where tables come from, what is told, exit statuses, and what it costs."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.cli_app.conftest import ROOT, Cli

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
CRONTAB = "MAILTO=ops@example.org\n# Nightly backup\n30 2 * * * /opt/backup.sh\n*/60 * * * * /opt/poll %x\n"


@pytest.fixture
def crontab(cli: Cli) -> Path:
    path = cli.folder / "crontab"
    path.write_text(CRONTAB)
    return path


def test_a_file_is_written_to_standard_output_and_what_to_know_of_it_to_standard_error(cli: Cli, crontab: Path) -> None:
    told = cli("import", "crontab")
    assert told.status == 0
    found = tomllib.loads(told.out)
    assert list(found["jobs"]) == ["backup", "poll"]
    assert found["jobs"]["backup"]["description"] == "Nightly backup"
    assert "note: crontab:4: `*/60 * * * *` is `0 * * * *`, which means the same here" in told.err
    assert told.err.splitlines()[-1] == "2 jobs from 1 table"
    assert crontab.read_text() == CRONTAB


def test_a_new_file_is_written_and_one_that_is_there_is_not_touched(cli: Cli, crontab: Path) -> None:
    told = cli("import", str(crontab), "-o", "new.toml")
    assert (told.status, told.out) == (0, "")
    assert "2 jobs from 1 table; wrote new.toml" in told.err
    checked = cli("check", "new.toml")
    assert (checked.status, "new.toml: 2 jobs in 2 flows" in checked.out) == (0, True)
    before = (cli.folder / "new.toml").read_text()
    again = cli("import", str(crontab), "-o", "new.toml")
    assert (again.status, (cli.folder / "new.toml").read_text()) == (1, before)
    assert "`new.toml` is there already" in again.err
    assert cli("import", str(crontab), "-o", "no/such/folder.toml").status == 1


def test_standard_input(cli: Cli) -> None:
    command = cli.command("import", "-")
    done = subprocess.run(command, env=cli.env, input=CRONTAB.encode(), capture_output=True, check=False, timeout=60)
    assert done.returncode == 0
    assert list(tomllib.loads(done.stdout.decode())["jobs"]) == ["backup", "poll"]


def test_refused_lines_are_drawn_and_the_others_imported(cli: Cli) -> None:
    (cli.folder / "crontab").write_text("0 4 * * * a\n0 25 * * * b\n")
    told = cli("import", "crontab")
    assert told.status == 1
    assert list(tomllib.loads(told.out)["jobs"]) == ["a"]
    assert "error: not imported: `25` is out of bounds: the hour field goes from 0 to 23\n --> crontab:2:3\n" in told.err
    assert "2 | 0 25 * * * b\n  |   ^^" in told.err
    assert told.err.splitlines()[-1] == "1 job from 1 table, 1 line refused"


def test_json(cli: Cli, crontab: Path) -> None:
    crontab.write_text(f"{CRONTAB}60 * * * * x\n")
    told = cli("import", "crontab", "--json")
    assert (told.status, told.err) == (1, "")
    answer = told.json
    assert [(job["job"], job["line"], job["schedule"]) for job in answer["imported"]] == [
        ("backup", 3, "30 2 * * *"),
        ("poll", 4, "0 * * * *"),
    ]
    assert [(one["file"], one["line"]) for one in answer["refused"]] == [("crontab", 5)]
    assert list(tomllib.loads(answer["toml"])["jobs"]) == ["backup", "poll"]
    assert cli("import", "crontab", "--json", "-o", "x.toml").json["file"] == "x.toml"


def test_the_switches(cli: Cli) -> None:
    (cli.folder / "crontab").write_text("0 4 * * * backup date +%F\n")
    assert "stdin" in cli("import", "crontab").out
    assert 'user = "backup"' in cli("import", "crontab", "--table", "system").out
    assert "command = \"backup date +%F\"" in cli("import", "crontab", "--table", "user", "--dialect", "busybox").out
    assert cli("import", "crontab", "--table", "both").status == 2
    assert cli("import", "crontab", "--dialect", "quartz").status == 2
    assert cli("import", "crontab", "--system").status == 2
    assert cli("import", "crontab", "--prove", "0").status == 2
    assert cli("import", "crontab", "--root", "/mnt").status == 2


def test_what_is_imported_runs_as_under_cron(cli: Cli) -> None:
    first = """30 2 * * * printf '\\%s\\n' "$A" "$PATH"; cat %in%put"""
    (cli.folder / "crontab").write_text(f"A='x  y'\n{first}\n0 5 */31 * 1-5 /bin/echo\n")
    assert cli("import", "crontab", "-o", "new.toml").status == 0
    told = cli("run", "--file", "new.toml", "cat")
    assert told.status == 0, told.err
    assert cli("logs", "--file", "new.toml", "cat").out.splitlines()[1:] == ["x  y", "/usr/bin:/bin", "in", "put"]
    for day, state in (("2027-01-01", "success"), ("2027-05-01", "skipped")):  # a Friday, a Saturday
        told = cli("run", "--file", "new.toml", "echo", "--at", f"{day}T05:00", "--json")
        assert told.json["runs"][0]["state"] == state


# ---- a machine ------------------------------------------------------------------------------------------------------------


def machine(folder: Path, files: dict[str, str]) -> Path:
    root = folder / "machine"
    root.mkdir()
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_all_tables_of_a_machine(cli: Cli) -> None:
    root = machine(
        cli.folder,
        {
            "etc/crontab": "17 * * * * root cd / && run-parts --report /etc/cron.hourly\n",
            "etc/cron.d/php": "# Clean up\n09,39 * * * * www-data /usr/lib/php/sessionclean\n",
            "etc/cron.d/old.dpkg-dist": "0 0 * * * root never\n",
            "etc/cron.d/.placeholder": "# nothing\n",
            "etc/anacrontab": "1 5 cron.daily run-parts /etc/cron.daily\n",
            "etc/cron.hourly/logs": "",
            "etc/cron.daily/man-db": "",
            "etc/cron.weekly/trim": "",
            "etc/cron.weekly/README.txt": "",
            "var/spool/cron/crontabs/anna": "0 5 * * * ./report.sh\n",
        },
    )
    for script in ("hourly/logs", "daily/man-db", "weekly/trim"):
        (root / "etc" / f"cron.{script}").chmod(0o755)
    told = cli("import", "--system", "--root", str(root))
    assert told.status == 0
    found = tomllib.loads(told.out)
    assert [(name, job.get("user")) for name, job in found["jobs"].items()] == [
        ("cron-hourly", "root"),
        ("sessionclean", "www-data"),
        ("cron-daily", None),
        ("report", "anna"),
        ("cron-weekly", "root"),
    ]
    assert found["jobs"]["cron-weekly"]["command"] == "cd / && run-parts /etc/cron.weekly"
    assert found["jobs"]["cron-weekly"]["schedule"] == "@weekly"
    assert "/usr/sbin" in found["jobs"]["cron-weekly"]["env"]["PATH"]
    assert "# in /etc/cron.hourly now: logs" in told.out
    assert "left out: /etc/cron.d/old.dpkg-dist: no cron reads files of such names" in told.err
    assert ".placeholder" not in told.err
    assert "# ---- /etc/cron.d/php -" in told.out
    checked = cli.folder / "all.toml"
    checked.write_text(told.out)
    assert cli("check", str(checked)).status == 0


def test_debian_reads_no_file_with_a_dot_in_its_name(cli: Cli) -> None:
    files = {"etc/cron.d/a.conf": "0 0 * * * root x\n", "etc/debian_version": "", "usr/sbin/cron": ""}
    files["etc/crontab"] = "~ 0 * * * root y\n"
    root = machine(cli.folder, files)
    told = cli("import", "--system", "--root", str(root))
    assert "left out: /etc/cron.d/a.conf: Debian's cron" in told.err
    assert "`~` is not a valid minute" in told.err
    (root / "usr/sbin/cron").rename(root / "usr/sbin/crond")
    assert list(tomllib.loads(cli("import", "--system", "--root", str(root)).out)["jobs"]) == ["y", "x"]


def test_a_machine_without_tables(cli: Cli) -> None:
    assert cli("import", "--system", "--root", str(machine(cli.folder, {"etc/hosts": ""}))).status == 1
    assert cli("import", "--system", "--root", "/no/such/folder").status == 1


def test_the_crontab_of_a_user(cli: Cli) -> None:
    root = machine(cli.folder, {"var/spool/cron/anna": CRONTAB})
    told = cli("import", "--user", "anna", "--root", str(root))
    assert tomllib.loads(told.out)["defaults"]["user"] == "anna"
    told = cli("import", "--user", "ben", "--root", str(root))
    assert (told.status, "ben has no crontab" in told.err) == (1, True)
    told = cli("import", "--user", "no-such-user-here")
    assert (told.status, "there is no user `no-such-user-here`" in told.err) == (1, True)


def test_the_callers_own_crontab_is_asked_for(cli: Cli) -> None:
    """A `crontab` of our own in front of the PATH: what it prints is imported, and what it says is told."""
    program = cli.folder / "bin" / "crontab"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\n[ "$*" = -l ] && [ -e crontab ] && exec cat crontab\necho "no crontab for me" >&2\nexit 1\n')
    program.chmod(0o755)
    path = f"{program.parent}:{cli.env['PATH']}"
    assert cli("import", PATH=path).status == 1
    assert "has no crontab" in cli("import", PATH=path).err
    (cli.folder / "crontab").write_text(CRONTAB)
    told = cli("import", PATH=path)
    assert told.status == 0
    assert list(tomllib.loads(told.out)["jobs"]) == ["backup", "poll"]
    program.write_text("#!/bin/sh\necho 'You (me) are not allowed to use this program (crontab)' >&2\nexit 1\n")
    told = cli("import", PATH=path)
    assert (told.status, "not allowed to use this program" in told.err) == (5, True)


# ---- proof and shadow -----------------------------------------------------------------------------------------------------


def test_a_proof_takes_the_place_of_the_job_file(cli: Cli, crontab: Path) -> None:
    told = cli("import", "crontab", "--prove", "400")
    assert told.status == 0
    assert "400 days from" in told.out
    assert "400 × the same" in told.out
    assert "[jobs" not in told.out
    answer = cli("import", "crontab", "--prove", "400", "--json").json
    assert [(one["job"], one["cron"] == one["cronflow"]) for one in answer["proof"]] == [("backup", True), ("poll", True)]
    crontab.write_text("0,30 2 * * * x\n")
    told = cli("import", "crontab", "--prove", "400", "-o", "new.toml")
    assert told.status == 0
    assert "1 difference, all with a reason" in told.out
    assert (cli.folder / "new.toml").exists()


@pytest.mark.usefixtures("crontab")
def test_a_shadow(cli: Cli) -> None:
    log = cli.folder / "log"
    log.write_text(
        "2026-11-02T02:30:01+01:00 h CRON[1]: (anna) CMD (/opt/backup.sh)\n"
        "2026-11-02T03:00:01+01:00 h CRON[1]: (anna) CMD (/opt/poll )\n"
        "2026-11-02T03:10:01+01:00 h CRON[1]: (root) CMD (run-parts /etc/cron.hourly)\n"
    )
    told = cli("import", "crontab", "--shadow", "log")
    assert told.status == 0
    assert "both: 2 starts" in told.out
    log.write_text(log.read_text().replace("T03:00", "T03:20"))
    told = cli("import", "crontab", "--shadow", "log")
    assert told.status == 1
    assert "only the job file: 1\n    2026-11-02 03:00  poll" in told.out
    assert cli("import", "crontab", "--shadow", "log", "--json").json["shadow"]["same"] == 1
    log.write_text("nothing\n")
    assert cli("import", "crontab", "--shadow", "log").status == 1
    assert cli("import", "crontab", "--shadow", "no-log").status == 1


# ---- bad input ------------------------------------------------------------------------------------------------------------


def test_what_is_no_crontab(cli: Cli) -> None:
    (cli.folder / "binary").write_bytes(b"\x7fELF\x00\x01" * 100)
    (cli.folder / "empty").write_bytes(b"")
    with open(cli.folder / "huge", "wb") as file:
        file.truncate(100_000_000)
    text = cli.folder / "long"
    text.write_text("0 4 * * * x\n" * 900_000)
    for name, sentence in (
        ("binary", "is not a crontab: there is a NUL byte in line 1"),
        ("huge", "is too long for a crontab: more than 10 MB"),
        ("long", "is too long for a crontab"),
        (".", "is a folder, not a crontab"),
        ("missing", "there is no file `missing`"),
        ("crontab/x", "there is no file"),
    ):
        told = cli("import", name)
        assert (told.status, told.out) == (1, ""), name
        assert told.err.startswith("error: "), told.err
        assert sentence in told.err
        assert "Traceback" not in told.err
    told = cli("import", "empty")
    assert (told.status, told.err) == (0, "0 jobs from 1 table\n")


@needs_root
def test_a_file_without_permission(cli: Cli) -> None:
    path = cli.folder / "crontab"
    path.write_text(CRONTAB)
    path.chmod(0o000)
    command = ["setpriv", "--reuid=65534", "--clear-groups", *cli.command("import", str(path))]
    if subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", sys.executable, "-c", ""], check=False).returncode:
        pytest.skip("another user cannot run this Python")
    done = subprocess.run(command, env=cli.env, cwd="/", capture_output=True, check=False, timeout=60)
    assert done.returncode == 5, done.stderr
    assert b"cannot be read: permission denied" in done.stderr
    assert b"`sudo`" in done.stderr


# ---- what it costs --------------------------------------------------------------------------------------------------------

COUNT = """
import sys
from cronflow.cli import main
status = main.call(["import", sys.argv[1], "-o", sys.argv[2]])
print(status, len(sys.modules), *sorted(sys.modules), file=sys.stderr)
"""
HEAVY = {"apprise", "croniter", "sqlite3", "psutil", "filelock", "rich", "asyncio", "tempfile", "zoneinfo"}


def test_an_import_loads_little_however_long_the_table_is(cli: Cli) -> None:
    """The cost of a short command is what it imports: a count that does not grow with the table, and none of the heavy ones."""
    counts = []
    for lines in (10, 1000):
        table = [f"{line % 60} {line % 24} * * * /opt/job{line}.sh\n" for line in range(lines)]
        (cli.folder / "crontab").write_text("".join(table))
        done = subprocess.run(
            [sys.executable, "-c", COUNT, str(cli.folder / "crontab"), str(cli.folder / f"{lines}.toml")],
            env=cli.env, cwd=ROOT, capture_output=True, text=True, check=True, timeout=100,
        )  # fmt: skip
        status, count, *modules = done.stderr.splitlines()[-1].split()
        assert status == "0"
        assert not HEAVY & set(modules), HEAVY & set(modules)
        counts.append(int(count))
    assert counts[0] == counts[1]
    assert counts[0] < 330
