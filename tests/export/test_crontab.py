"""The way out to cron: the table says what the jobs say, a shell does with its lines what the engine does with the flows."""

from __future__ import annotations

import random
import re
import textwrap
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cronflow.core.jobs import Job, JobSet
from cronflow.core.time.schedule import Schedule
from cronflow.export.crontab import export
from cronflow.export.crontimes import cron_lines, every_lines
from cronflow.export.report import ExportReport, ExportRequest, UnwritableError
from tests.export import table
from tests.export.jobs import CHAINS, NOW, chain, engine, flow, outcomes, wanted

CRONS_WAY = 'catchup = "none"\noverlap = "allow"\n'


def written(text: str, system: bool = False) -> tuple[str, ExportReport]:
    """The table, and what is told."""
    done = export(wanted(text, system))
    return done.files[""], done.report


def one(keys: str, system: bool = False) -> table.Line:
    """The line of a file that has one job."""
    text, _ = written(f"[jobs.a]\n{CRONS_WAY}{keys}", system)
    (line,) = table.lines(text, system)
    return line


def refusal(keys: str, **more: bool) -> str:
    text, report = written(f"[jobs.a]\n{keys}", **more)
    assert table.lines(text) == []
    assert f"# a: not written: {report.refused['a']}" in text
    return report.refused["a"]


# ---- the table ------------------------------------------------------------------------------------------------------------


def test_a_table_as_a_whole() -> None:
    text, report = written(
        textwrap.dedent("""\
        [defaults]
        catchup = "none"
        [jobs.extract]
        description = "Pull yesterday's orders"
        owner = "data-team"
        schedule = "0 4 * * mon-fri"
        command = './extract.sh --date "$(date +%F)"'
        cwd = "/srv/etl"
        [jobs.load]
        after = ["extract"]
        command = "./load.sh"
        cwd = "/srv/etl"
        retries = 2
        [jobs.greet]
        overlap = "allow"
        schedule = ["@daily", "0 12 * * *"]
        command = "mail team"
        stdin = "Good morning,\\n100 %\\n"
        env = { PATH = "/usr/bin:/bin" }
        """)
    )
    assert text == textwrap.dedent("""\
        # jobs.toml as the crontab of anna, written by `cronflow export crontab`.
        # Of each run only its output is kept, in the mail that cron sends to MAILTO.

        PATH=/usr/local/bin:/usr/bin:/bin

        # extract -> load
        #   lost: extract: `overlap = "skip"`: cron starts it although the previous run is still active
        #   lost: load: `retries = 2`: a failed attempt is not retried

        # extract: Pull yesterday's orders
        # extract: owner: data-team
        0 4 * * mon-fri cd /srv/etl && ./extract.sh --date "$(date +\\%F)" && ./load.sh

        PATH=/usr/bin:/bin

        # greet

        @daily mail team%Good morning,%100 \\%
        0 12 * * * mail team%Good morning,%100 \\%
        """)
    assert report.refused == {}


def test_a_table_of_the_system_has_a_user_column() -> None:
    text, _ = written(
        f'[defaults]\n{CRONS_WAY}[jobs.a]\nschedule = "@reboot"\ncommand = "a; b"\n'
        '[jobs.b]\nschedule = "@hourly"\ncommand = "c"\nuser = "www-data"\n',
        system=True,
    )
    assert [(line.when, line.user, line.command) for line in table.lines(text, True)] == [
        ("@reboot", "anna", "a; b"),
        ("@hourly", "www-data", "c"),
    ]
    assert "runs as `www-data`" in refusal('schedule = "@hourly"\ncommand = "c"\nuser = "www-data"')


def test_a_disabled_job_is_a_comment() -> None:
    text, _ = written('[jobs.a]\nschedule = "0 4 * * *"\ncommand = "c"\nenabled = false\n')
    assert "\n#0 4 * * * c\n" in text


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ('command = "c"', "starts only by hand"),
        ('command = "c"\nwatch = "/srv/*"', "starts by `watch`"),
        ('command = "c"\nat = 2027-01-01T00:00:00', "starts by `at`"),
        ('command = "c"\nevery = "30s"', "starts at full minutes"),
        ('command = "c"\nevery = "7m"', "starts counting again every day"),
        ('command = "c"\nschedule = "*/10 0 4 * * *"', "no seconds"),
        ('command = "c"\nschedule = "0 0 L * fri"', "beside another day field"),
        ('command = "c"\nschedule = ["0 4 * * *", "0 4 1 * *"]', "`0 4 * * *` and `0 4 1 * *` meet"),
        ('command = "c"\nschedule = "0 4 28,L * *"', "meet"),
        ('command = "c"\nschedule = "@daily"\napprove = true', "approval"),
        ('command = "c"\nschedule = "@daily"\nforeach = "ls"', "`foreach`"),
        ("command = 'echo 5\\%'\nschedule = \"@daily\"", "backslash before a `%`"),
        (f'command = "echo {"x" * 1000}"\nschedule = "@daily"', "1,005 characters"),
    ],
)
def test_what_cron_cannot_say_is_refused_with_the_reason(keys: str, told: str) -> None:
    assert told in refusal(keys)


def test_what_comes_after_a_refused_job_is_left_out_with_it() -> None:
    text, report = written(
        '[jobs.a]\nschedule = "@daily"\ncommand = "a"\n[jobs.b]\nafter = ["a"]\napprove = true\ncommand = "b"\n'
        '[jobs.c]\nafter = { b = "done" }\ncommand = "c"\n'
    )
    assert [line.command for line in table.lines(text)] == ["a"]
    assert report.refused["c"] == "it comes after `b`, which is not written"


def test_a_zone_that_is_not_the_machines_is_written_for_cronie_and_told() -> None:
    text, report = written(
        '[jobs.a]\nschedule = "@daily"\ncommand = "a"\n[jobs.b]\nschedule = "@daily"\ncommand = "b"\ntimezone = "Asia/Tokyo"\n'
        '[jobs.c]\nschedule = "@daily"\ncommand = "c"\n'
    )
    assert [line.variables.get("CRON_TZ") for line in table.lines(text)] == [None, "Asia/Tokyo", "Europe/Berlin"]
    (told,) = (loss.message for loss in report.losses if loss.key == "timezone")
    assert "Debian's cron ignores it" in told


def test_mails() -> None:
    text, report = written(
        '[alerts.ops]\nurls = "mailto://localhost?from=root@localhost&to=ops@example.org"\n'
        '[alerts.chat]\nurls = "slack://a/b/c"\n'
        '[jobs.a]\nalert = ["ops"]\nschedule = "@daily"\ncommand = "a"\n'
        '[jobs.b]\nalert = []\nschedule = "@daily"\ncommand = "b"\n'
        '[jobs.c]\nschedule = "@daily"\ncommand = "c"\n'
    )
    assert [line.variables["MAILTO"] for line in table.lines(text)] == ["ops@example.org", "", "ops@example.org"]
    assert 'MAILTO=""\n' in text, "Debian's cron takes `MAILTO=` for a job"
    assert "`alert`: `chat` is not mail, and cron sends only mail" in report.of("c")


# ---- the environment, and what stands around a command --------------------------------------------------------------------


def test_variables_hold_for_the_lines_that_have_them_and_for_no_others(tmp_path: Path) -> None:
    env = ("A = 'a b', Q = '\"q\"'", "A = ' led', B = \"it's\"", 'B = "it\'s"', 'B = "", N = "two\\nlines"')
    jobs = "".join(
        f'[jobs.j{number}]\n{CRONS_WAY}schedule = "@daily"\nenv = {{ {values} }}\n'
        'command = \'printf "<%s>" "$A" "$B" "$Q" "$N" "$PATH"\'\n'
        for number, values in enumerate(env)
    )
    text, _ = written(jobs)
    path = "</usr/local/bin:/usr/bin:/bin>"
    assert [table.run(line, tmp_path) for line in table.lines(text)] == [
        f'<a b><><"q"><>{path}',
        f"< led><it's><><>{path}",
        f"<><it's><><>{path}",
        f"<><><><two\nlines>{path}",
    ]


@pytest.mark.parametrize(
    ("keys", "printed"),
    [
        ("command = '''\nset -u\necho \"a\\nb\"   # the end\nprintf '%s\\n' 'x y' '100%'\n'''", "a\nb\nx y\n100%\n"),
        ("command = ['printf', '%s|', 'a b', '$HOME', \"it's\", '50%']", "a b|$HOME|it's|50%|"),
        ("command = 'cat'\nstdin = \"one\\n\\n 5 %\\n\"", "one\n\n 5 %\n"),
        ("command = 'cat'\nstdin = \"one\\n\\n\"", "one\n\n"),
        ("command = 'cat'\nstdin = \"\\n\"", "\n"),
        ("command = 'cat'\nstdin = \"no end\"", "no end"),
        ("command = 'cat'\nstdin = \"two\\nno end\"", "two\nno end"),
        ("command = 'cat'\nstdin = \"a \\\\\\nb %\\n\"", "a \\\nb %\n"),
        ("command = 'cat'\nstdin = \"a\\n\"\ncheck = 'echo checked'", "a\nchecked\n"),
        ("command = 'exit 3'\nsuccess_codes = [3]\ncheck = 'echo checked'", "checked\n"),
        ("command = 'exit 2'\nsuccess_codes = [3]\ncheck = 'echo checked'", ""),
        ("command = 'echo a; false'\non_failure = 'echo bad'\non_success = 'echo good'", "a\nbad\n"),
        ("command = 'echo a # b'\non_failure = 'echo bad'\non_success = 'echo good; false'", "a\ngood\n"),
        ("command = 'echo a'\nonly_if = 'test 1 = 2'", ""),
        ("command = 'echo a'\nonly_if = 'test 1 = 1 || exit 4'", "a\n"),
        ("command = 'echo a'\nwait_until = 'test -d / && true'", "a\n"),
        ("command = 'umask; echo $PWD'\numask = '027'\ncwd = '/'", "0027\n/\n"),
        ("command = 'nice; echo b'\nnice = 7", "7\nb\n"),
        ("command = 'sleep 60; echo never'\ntimeout = '100ms'\nkill_after = '1s'", ""),
        ("command = 'X=1 && echo $X'\ntimeout = '1m'", "1\n"),
        ("command = 'X=1 env | grep ^X='\ntimeout = '1m'", "X=1\n"),
        ("command = 'echo $TOKEN'\nsecrets = { TOKEN = 'command:echo 4%' }", "4%\n"),
        ("command = 'echo $0 ${BASH_VERSION:+is bash}'\nshell = '/bin/bash'", "/bin/bash is bash\n"),
    ],
)
def test_a_shell_does_with_the_line_what_the_job_says(keys: str, printed: str, tmp_path: Path) -> None:
    assert table.run(one(f'schedule = "@daily"\n{keys}\n'), tmp_path) == printed


@pytest.mark.skipif(not Path("/usr/bin/python3").exists(), reason="there is no /usr/bin/python3")
@pytest.mark.parametrize(("more", "shell"), [("", "/usr/bin/python3"), ("cwd = '/'\n", None), ("timeout = '1m'\n", None)])
def test_a_shell_of_another_kind(more: str, shell: str | None, tmp_path: Path) -> None:
    """It is the SHELL of the table where nothing stands around the command, which only a shell of sh(1) could say."""
    line = one(f"schedule = '@daily'\ncommand = 'print(1 + 1)'\nshell = '/usr/bin/python3'\n{more}")
    assert line.variables.get("SHELL") == shell
    assert table.run(line, tmp_path) == "2\n"


def test_a_delay() -> None:
    """Whole minutes are cronie's RANDOM_DELAY, anything else the delay that the job has on this machine."""
    text, report = written(
        f'[defaults]\n{CRONS_WAY}[jobs.a]\nschedule = "@daily"\ncommand = "a"\njitter = "10m"\n'
        '[jobs.b]\nschedule = "@daily"\ncommand = "b"\njitter = "90s"\n[jobs.c]\nschedule = "@daily"\ncommand = "c"\n'
    )
    a, b, c = table.lines(text)
    assert (a.command, a.variables["RANDOM_DELAY"]) == ("a", "10")
    assert re.fullmatch(r"sleep ([1-9]|[1-8][0-9])s; b|sleep 1m; b", b.command), b.command
    assert (c.command, b.variables["RANDOM_DELAY"], c.variables["RANDOM_DELAY"]) == ("c", "0", "0")
    assert [loss.job for loss in report.losses] == ["a"]


def test_an_env_file_comes_before_env(tmp_path: Path) -> None:
    (tmp_path / "job.env").write_text("A=file\nB='two words'\n")
    line = one(
        f'schedule = "@daily"\nenv_file = ["{tmp_path}/job.env", "-{tmp_path}/none.env"]\nenv = {{ A = "own" }}\n'
        "command = 'echo $A $B'\n"
    )
    assert table.run(line, tmp_path) == "own two words\n"


def test_what_is_simple_stays_as_it_is() -> None:
    for command in ("a.sh >/dev/null 2>&1", "a; b || c &", "[ -x /bin/a ] && a", "X=1 a", "cd /srv && a # why", "a 'b  c'"):
        assert one(f"schedule = '@daily'\ncommand = {command!r}\n").command == command


# ---- chains ---------------------------------------------------------------------------------------------------------------


def lines_of(jobs: dict[str, Job], endings: list[dict[str, int]]) -> list[str] | str:
    """The line of a flow for each way in which its commands end; the reason if it is refused."""
    found = []
    for codes in endings:
        body = {name: job._replace(command=f"echo {name} >>ran; exit {codes[name]}") for name, job in jobs.items()}
        done = export(ExportRequest(JobSet(body), NOW, "UTC", "anna", "jobs.toml", False))
        if done.report.refused:
            return next(iter(done.report.refused.values()))
        (line,) = table.lines(done.files[""])
        found.append(line.command)
    return found


def runs(commands: list[str], folder: Path) -> list[list[str]]:
    """The jobs that a shell runs in each line."""
    script = "\n".join(f">ran; ({command}); echo $(cat ran)" for command in commands)
    printed = table.run(table.Line("", "", script, "", {}), folder)
    return [sorted(line.split()) for line in printed.splitlines()]


@pytest.mark.parametrize("conditions", CHAINS, ids="-".join)
def test_a_chain_runs_what_the_engine_runs(conditions: tuple[str, ...], tmp_path: Path) -> None:
    jobs = chain(conditions)
    lines = lines_of(jobs, outcomes(jobs))
    if isinstance(lines, str):
        assert "success_or_skipped" in conditions[conditions.index("failure") :], lines
    else:
        assert runs(lines, tmp_path) == [sorted(engine(jobs, codes)) for codes in outcomes(jobs)]


def test_what_comes_however_others_ended_stands_at_the_end(tmp_path: Path) -> None:
    names = ("a", "b", "c", "d", "e")
    jobs = flow({"a": {}, "b": {"a": "success"}, "c": {"b": "done"}, "d": {"b": "success"}, "e": {"a": "done", "d": "done"}})
    lines = lines_of(jobs, outcomes(names))
    assert not isinstance(lines, str)
    assert runs(lines, tmp_path) == [sorted(engine(jobs, codes)) for codes in outcomes(names)]


@pytest.mark.parametrize(
    ("edges", "told"),
    [
        ({"a": {}, "b": {}, "c": {"a": "success", "b": "success"}}, "has several roots, `a` and `b`"),
        ({"a": {}, "b": {"a": "success"}, "c": {"a": "success"}}, "`a` is followed by `b` and `c`"),
        ({"a": {}, "b": {"a": "done"}, "c": {"a": "success"}, "d": {"b": "success"}}, "`a` is followed by `b` and `c`"),
    ],
)
def test_other_flows_are_refused(edges: dict[str, dict[str, str]], told: str) -> None:
    assert told in lines_of(flow(edges), [dict.fromkeys(edges, 0)])


def test_a_job_that_may_be_skipped_is_no_failure() -> None:
    text = '[jobs.a]\nschedule = "@daily"\ncommand = "a"\nonly_if = "b"\n[jobs.c]\nafter = { a = "failure" }\ncommand = "c"\n'
    assert "`a` may be skipped" in written(text)[1].refused["a"]


# ---- times ----------------------------------------------------------------------------------------------------------------

FAKE_DATE = """\
#!/bin/sh
if [ "$1" = -d ]; then exec /bin/date -d "$TODAY $2" "$3"; fi
exec /bin/date -d "$TODAY" "$@"
"""


@pytest.mark.parametrize("days", ["L * *", "15,L * *", "* * 5#2", "* * L5", "* * mon-fri#1", "* * 0#5", "* 2,12 L0"])
def test_days_that_fields_cannot_say_are_tested(days: str, tmp_path: Path) -> None:
    fake = tmp_path / "date"
    fake.write_text(FAKE_DATE)
    fake.chmod(0o755)
    expression = f"0 4 {days}"
    lines = cron_lines(Job("a", "true", schedule=(expression,), timezone="UTC"), "UTC")
    start = datetime(2027, 12, 1, tzinfo=UTC).timestamp()
    slots = Schedule.cron(expression, "UTC")
    found = []
    for line in lines:
        at: float | None = Schedule.cron(line.when, "UTC").next_after(start)
        script = []
        while at is not None and at < start + 120 * 86400:
            day = datetime.fromtimestamp(at, UTC)
            script.append(f"export TODAY={day:%Y-%m-%d}; if {line.test or 'true'}; then echo {at:.0f}; fi")
            at = Schedule.cron(line.when, "UTC").next_after(at)
        body = table.Line("", "", "\n".join(script), "", {"PATH": f"{tmp_path}:/usr/bin:/bin"})
        found += table.run(body, tmp_path).split()
    wanted_slots = []
    at = slots.next_after(start)
    while at is not None and at < start + 120 * 86400:
        wanted_slots.append(f"{at:.0f}")
        at = slots.next_after(at)
    assert sorted(found) == wanted_slots


@pytest.mark.parametrize("minutes", [minutes for minutes in range(1, 1441) if 1440 % minutes == 0])
def test_an_interval_is_the_lines_that_have_its_times(minutes: int) -> None:
    lines = [line.when for line in every_lines(minutes * 60)]
    start = datetime(2027, 3, 1, tzinfo=UTC).timestamp() - 1
    wanted_slots = [start + 1 + number * minutes * 60 for number in range(3 * 1440 // minutes)]
    union = Schedule.cron(lines, "UTC")
    found: list[float] = []
    at: float = start
    for _ in wanted_slots:
        following = union.next_after(at)
        assert following is not None
        found.append(following)
        at = following
    assert found == wanted_slots
    assert sum(Schedule.cron(line, "UTC").count(start, at) for line in lines) == len(found), "no time is in two lines"


def test_random_schedules_keep_their_slots_or_are_refused() -> None:
    lot = random.Random(4)
    kept = 0
    for _ in range(300):
        words = [lot.choice(options) for options in (("0", "*/15", "5,35"), ("4", "*", "*/6", "8-18"))]
        words += [
            lot.choice(("*", "1", "1-7", "*/2", "20-L")),
            lot.choice(("*", "jan", "3-5")),
            lot.choice(("*", "fri-sun", "1,7", "*/3")),
        ]
        text = [" ".join(words)] if lot.random() < 0.7 else [" ".join(words), f"17 {' '.join(words[1:])}"]
        try:
            lines = cron_lines(Job("a", "true", schedule=tuple(text), timezone="Europe/Berlin"), "Europe/Berlin")
        except UnwritableError:  # two of them meet
            continue
        assert not any(sign in line.when.lower() for line in lines for sign in ("l", "-sun") if "jul" not in line.when), lines
        assert Schedule.cron([line.when for line in lines], "Europe/Berlin") == Schedule.cron(text, "Europe/Berlin")
        kept += 1
    assert kept > 200
