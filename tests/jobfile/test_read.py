"""Reading whole files: what they become, and what keeps a file from being read at all."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cronflow.core.jobs import Edge, Job, Settings
from cronflow.errors import JobFileError
from cronflow.jobfile.read import Reading, read
from tests.problems import check

Write = Callable[..., str]


@pytest.fixture(name="write")
def write_(tmp_path: Path) -> Write:
    def write(text: str | bytes, name: str = "jobs.toml") -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(0o644)
        return str(path)

    return write


def refused(path: str) -> list[str]:
    with pytest.raises(JobFileError) as error:
        read(path)
    return [problem.message for problem in error.value.problems if problem.severity == "error"]


def job_of(write: Write, body: str, head: str = "") -> Reading:
    return read(write(f"{head}\n[jobs.a]\n{body}\n"), thorough=False)


def test_everything_a_job_can_say(write: Write, tmp_path: Path) -> None:
    reading = read(
        write("""
        [alerts.ops]
        url_env = "OPS"
        [jobs.first]
        command = ["true", "a b", ""]
        [jobs.a]
        command = "exit 0"
        description = "d"
        owner = "o"
        runbook = "r"
        tags = ["t", "u"]
        enabled = false
        after = { first = "done" }
        join = "any"
        env = { A = "1" }
        env_file = ["job.env", "-/etc/maybe.env"]
        cwd = "work"
        user = "root"
        group = "root"
        shell = "/bin/bash"
        stdin = "yes"
        umask = 0o27
        nice = -5
        timeout = "1h30m"
        kill_after = "500ms"
        retries = 3
        retry_delay = "1m"
        retry_backoff = 3
        retry_max_delay = "1h"
        retry_on = [1, "timeout"]
        success_codes = [0, 3]
        skip_codes = [99]
        alert = ["ops"]
        max_output = "2MiB"
        """)
    )
    first, job = reading.jobs.jobs["first"], reading.jobs.jobs["a"]
    assert first.command == ("true", "a b", "")
    assert (job.command, job.description, job.owner, job.runbook, job.tags) == ("exit 0", "d", "o", "r", ("t", "u"))
    assert (job.enabled, job.after, job.join) == (False, (Edge("first", "done"),), "any")
    assert job.env == {"A": "1"}
    assert job.env_file == (str(tmp_path / "job.env"), "-/etc/maybe.env")
    assert job.cwd == str(tmp_path / "work")
    assert (job.user, job.group, job.shell, job.stdin, job.umask, job.nice) == ("root", "root", "/bin/bash", "yes", 0o27, -5)
    assert (job.timeout, job.kill_after, job.retries, job.retry_delay, job.retry_backoff) == (5400.0, 0.5, 3, 60.0, 3.0)
    assert (job.retry_max_delay, job.retry_on, job.success_codes, job.skip_codes) == (3600.0, (1, "timeout"), (0, 3), (99,))
    assert (job.alert, job.max_output) == (("ops",), 2 * 2**20)
    assert reading.jobs.alerts["ops"].url_env == "OPS"


def test_what_a_plain_job_means(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    jobs = read(write('jobs.a.command = "true"'), thorough=False).jobs
    assert jobs.jobs == {"a": Job("a", "true", timezone="Asia/Tokyo")}
    assert jobs.settings == Settings()
    assert jobs.timezone == "Asia/Tokyo"


def test_the_job_wins_over_defaults_and_tables_are_merged(write: Write) -> None:
    head = (
        '[defaults]\nretries = 2\ntimeout = "1h"\nenv = { A = "1", B = "2" }\nafter = []\nowner = "us"\n[jobs.z]\ncommand = "z"'
    )
    job = job_of(write, 'command = "true"\nretries = 0\nenv = { B = "3" }', head).jobs.jobs["a"]
    assert (job.retries, job.timeout, job.env, job.owner) == (0, 3600.0, {"A": "1", "B": "3"}, "us")


def test_a_table_of_after_is_replaced(write: Write) -> None:
    text = '[defaults]\nafter = { x = "done" }\n[jobs]\nx = { command = "x", after = [] }\ny = { command = "y" }\n'
    jobs = read(write(text + 'z = { command = "z", after = ["y"] }'), thorough=False).jobs.jobs
    assert [jobs[name].after for name in "xyz"] == [(), (Edge("x", "done"),), (Edge("y"),)]


@pytest.mark.parametrize(("catchup", "window"), [("last", None), ("none", None), ("all", 86400.0)])
def test_the_catchup_window(write: Write, catchup: str, window: float | None) -> None:
    assert job_of(write, f'command = "true"\ncatchup = "{catchup}"').jobs.jobs["a"].catchup_window == window


def test_zones_from_near_to_far(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    text = 'timezone = "UTC"\n[jobs.a]\ncommand = "a"\n[jobs.b]\ncommand = "b"\ntimezone = "Europe/Berlin"\n'
    jobs = read(write(text), thorough=False).jobs.jobs
    assert (jobs["a"].timezone, jobs["b"].timezone) == ("UTC", "Europe/Berlin")
    jobs = read(write('timezone = "UTC"\ndefaults.timezone = "Europe/Rome"\njobs.a.command = "a"'), thorough=False).jobs.jobs
    assert jobs["a"].timezone == "Europe/Rome"


@pytest.mark.parametrize(
    ("text", "kept"), [('"30d"', (30 * 86400.0, None)), ("1000", (None, 1000)), ('"1d12h"', (129600.0, None))]
)
def test_history_by_time_or_by_count(write: Write, text: str, kept: tuple[float | None, int | None]) -> None:
    settings = read(write(f'settings.keep_runs = {text}\njobs.a.command = "a"'), thorough=False).jobs.settings
    assert (settings.keep_runs, settings.keep_runs_count) == kept


def test_triggers(write: Write) -> None:
    assert job_of(write, 'command = "a"\nschedule = "0 4 * * *"').jobs.jobs["a"].schedule == ("0 4 * * *",)
    job = job_of(write, 'command = "a"\nschedule = ["0 4 * * *", "@daily"]\nevery = "15m"').jobs.jobs["a"]
    assert (job.schedule, job.every) == (("0 4 * * *", "@daily"), 900)
    assert isinstance(job.every, int)


def test_home_is_kept_for_the_user_that_the_job_runs_as(write: Write) -> None:
    job = job_of(write, 'command = "a"\ncwd = "~/etl"\nenv_file = "-~/job.env"').jobs.jobs["a"]
    assert (job.cwd, job.env_file) == ("~/etl", ("-~/job.env",))


def test_tables_of_the_user_are_free(write: Write) -> None:
    assert job_of(write, 'command = "a"', "x-any = [1, { a = 2 }]\n[x-mine.deep]\njobs = 5").problems == []


def test_included_files(write: Write, tmp_path: Path) -> None:
    main = write('include = ["jobs.d/*.toml", "extra.toml"]\n[defaults]\nretries = 7\n[jobs.m]\ncommand = "m"')
    write('[jobs.b]\ncommand = "b"\ncwd = "x"\n[x-b]\n', "jobs.d/20.toml")
    write('[jobs.a]\ncommand = "a"\n[alerts.ops]\nurl_file = "ops.url"', "jobs.d/10.toml")
    write('[jobs.e]\ncommand = "e"', "extra.toml")
    write('[jobs.no]\ncommand = ""', "jobs.d/.hidden.toml")
    reading = read(main, thorough=False)
    assert list(reading.jobs.jobs) == ["m", "e", "a", "b"]
    assert {job.retries for job in reading.jobs.jobs.values()} == {7}
    assert reading.jobs.jobs["b"].cwd == str(tmp_path / "jobs.d/x")
    assert reading.jobs.alerts["ops"].url_file == str(tmp_path / "jobs.d/ops.url")
    files = [str(tmp_path / name) for name in ("jobs.toml", "extra.toml", "jobs.d/10.toml", "jobs.d/20.toml")]
    assert list(reading.jobs.files) == files
    assert reading.sources == [(file, hashlib.sha256(Path(file).read_bytes()).digest()) for file in files]


def test_a_file_that_includes_itself_is_read_once(write: Write) -> None:
    reading = read(write('include = ["*.toml"]\njobs.a.command = "a"'), thorough=False)
    assert list(reading.jobs.jobs) == ["a"]


def test_errors_of_all_files_come_together_in_order(write: Write) -> None:
    main = write('include = ["d/*.toml"]\n[jobs.m]\ncommand = ""\ntimout = 5')
    write("[jobs.a]\n[jobs.b]\ncommand = 5\n", "d/a.toml")
    write("[jobs", "d/b.toml")
    problems = [problem for problem in check(main) if problem.severity == "error"]
    places = [(os.path.basename(problem.span.file), problem.span.line) for problem in problems if problem.span]
    assert places == [("jobs.toml", 3), ("jobs.toml", 4), ("a.toml", 1), ("a.toml", 3), ("b.toml", 1)]


def test_a_cycle_is_told_as_a_path_with_all_its_lines(write: Write) -> None:
    path = write("".join(f'[jobs.{a}]\ncommand = "x"\nafter = ["{b}"]\n' for a, b in ("ab", "bc", "ca")))
    (problem,) = [problem for problem in check(path) if problem.severity == "error"]
    ways = ["`a` -> `b` -> `c` -> `a`", "`b` -> `c` -> `a` -> `b`", "`c` -> `a` -> `b` -> `c`"]
    backwards = ["`a` -> `c` -> `b` -> `a`", "`c` -> `b` -> `a` -> `c`", "`b` -> `a` -> `c` -> `b`"]
    assert problem.message in [f"jobs wait for each other: {way}" for way in ways + backwards]
    assert problem.hint is not None
    assert all(place in problem.hint for place in ("line 3 (`a`)", "line 6 (`b`)", "line 9 (`c`)"))
    assert problem.span is not None
    assert problem.span.text.startswith("after = ")


def test_a_refused_trigger_brings_no_errors_of_the_graph_with_it(write: Write) -> None:
    path = write("""
    [jobs.a]
    command = "a"
    schedule = "0 25 * * *"
    [jobs.b]
    command = "b"
    schedule = "@daily"
    [jobs.c]
    command = "c"
    after = ["a", "b", "d"]
    """)
    assert len(refused(path)) == 2
    assert refused(path)[1] == "job `c` comes after `d`, which is not in the job file"


def test_no_such_file(tmp_path: Path) -> None:
    (problem,) = check(str(tmp_path / "jobs.toml"))
    assert problem.message == f"there is no job file `{tmp_path}/jobs.toml`"
    assert problem.hint == "`cronflow init` writes one; `--file` names another one"


def test_a_folder(tmp_path: Path) -> None:
    (problem,) = check(str(tmp_path))
    assert problem.message == f"`{tmp_path}` is a folder, not a job file"


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert refused(str(tmp_path / "pipe")) == [f"`{tmp_path}/pipe` is not a regular file"]


def test_a_name_with_a_nul() -> None:
    assert "cannot be read" in refused("jobs\0.toml")[0]


def test_a_huge_file(write: Write) -> None:
    assert refused(write(b"#" * 10_000_001))[0].endswith("is larger than 10 MB")


@pytest.mark.parametrize(
    ("raw", "place", "hint"),
    [
        (b"[jobs.a]\n# caf\xe9\n", (2, 6), "in Windows-1252 this byte is `é`"),
        (b"# \xc3\xa4\xff", (1, 4), "`ÿ`"),
        ("[jobs.a]\n".encode("utf-16"), (1, 1), "save it as UTF-8"),
    ],
)
def test_no_utf8(write: Write, raw: bytes, place: tuple[int, int], hint: str) -> None:
    (problem,) = check(write(raw))
    assert "UTF-" in problem.message
    assert problem.hint is not None
    assert hint in problem.hint
    assert problem.span is not None
    assert (problem.span.line, problem.span.column) == place


def test_a_byte_order_mark_is_no_matter(write: Write) -> None:
    assert list(read(write(b'\xef\xbb\xbfjobs.a.command = "a"'), thorough=False).jobs.jobs) == ["a"]


@pytest.mark.skipif(os.geteuid() != 0, reason="the rule is for root")
class TestRoot:
    @pytest.mark.parametrize("mode", [0o666, 0o602, 0o646])
    def test_others_must_not_write(self, write: Write, mode: int) -> None:
        path = write('jobs.a.command = "a"')
        os.chmod(path, mode)
        assert refused(path) == [f"users other than root can write to `{path}`, and root would run what they write"]

    def test_another_owner(self, write: Write) -> None:
        path = write('jobs.a.command = "a"')
        os.chown(path, 1000, 0)
        assert len(refused(path)) == 1

    def test_groups(self, write: Write) -> None:
        path = write('jobs.a.command = "a"')
        os.chmod(path, 0o664)
        assert read(path, thorough=False).problems == []
        os.chown(path, 0, 1000)
        assert len(refused(path)) == 1

    def test_included_files_too(self, write: Write) -> None:
        main = write('include = ["d.toml"]\njobs.a.command = "a"')
        included = write('jobs.b.command = "b"', "d.toml")
        os.chmod(included, 0o666)
        assert included in refused(main)[0]


def test_words_longer_than_a_process_can_be_given(write: Write) -> None:
    assert refused(write(f'jobs.a.command = "{"x" * 131072}"')) == ["`command` is longer than an argument can be (128 KiB)"]
    assert refused(write(f'jobs.a = {{ command = ["x", "{"ü" * 65536}"], env = {{ A = "{"x" * 131072}" }} }}')) == [
        "`command` is longer than an argument can be (128 KiB)",
        "`A` in `env` is longer than a variable can be (128 KiB)",
    ]
    assert refused(write(f'jobs.a.command = "{"x" * 131071}"\njobs.b = 5')) == [
        "job `b` is a whole number, where a table belongs"
    ]


def test_no_url_is_ever_told(write: Write, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    secret = "S3cr3tToken"
    texts = [
        f'[alerts.a]\nurls = ["slacc://{secret}/b"]',
        f"[alerts.a]\nurls = [\"slack://{secret} x\", 'json://u:{secret}@h', 5]",
        f'[alerts.a]\nurls = "slack://{secret}"',
        f'[alerts.a]\nurls = "{secret}"',
        f'[alerts.a]\nurls = {{ x = "{secret}" }}',
        f"[alerts.a]\nurls = [slack://{secret}]",
        f'[alerts.a]\nurls = ["{secret}"]',
        f'[alerts.a]\nurls = [\n"json://{secret}",\n"{secret}",\n 5\n]',
        f'[alerts.a]\nurls = ["slack://{secret}"',
        f'[alerts.a]\nurls = ["slack://{secret}", "slack://{secret}]',
        f'[alerts.a]\nurls = ["slack://\\q{secret}"]',
        f'[alerts]\nurls = ["slack://{secret}"]',
        f'[alerts.a]\nurl_file = "slack://{secret}"',
        f'[alerts.a]\nurl_env = "slack://{secret}"',
        f'alerts.a.urls = ["{secret}"]',
        f'alerts.a = {{ urls = ["{secret}"], x = 1 }}',
        f'alerts = {{ a = {{ urls = ["{secret}"] }}, b = 5 }}',
        f'[alerts.a]\nurls = """\nslack://{secret}"""',
        f'[settings]\nheartbeat = "https://{secret}"',
        f'urls = ["slack://{secret}"]',
        f'[alerts.a]\nurl = "slack://{secret}"',
        f'[alerts.a]\nurl = "{secret}"',
        f'alerts.a.urls = ["{secret}',
    ]
    for text in texts:
        problems = check(write(text + "\n"))
        assert any(problem.severity == "error" for problem in problems), text
        assert secret not in repr(problems), text
    out, err = capfd.readouterr()
    assert secret not in out + err + caplog.text
