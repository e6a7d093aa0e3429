"""What lines become: triggers, environment, alerts, descriptions, names; and the text of the job file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from cronflow.core.plan.flow import plan
from cronflow.crontab import writing
from cronflow.crontab.convert import convert
from cronflow.crontab.lines import read
from cronflow.crontab.naming import NameRequest, idea, unique
from tests.crontab.reading import imported, jobs_of, only, table
from tests.problems import check


def written(text: str, **how: Any) -> dict[str, Any]:
    """The job file of a table, as a document."""
    return tomllib.loads(writing.write(imported(text, **how)))


# ---- schedules ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        *("*/5 * * * *", "00 02,08 * * 1-5", "0 0 1,15 * sun", "@daily", "@reboot", "0 0 */2 * mon", "0-59 7 * JAN-mar *"),
        *("0 4 * * 5-7", "0 4 * * 0-7", "1-10/3 * * * *", "* * 1-31 * *"),
    ],
)
def test_a_schedule_that_means_the_same_stays_as_it_is(line: str) -> None:
    job = only(f"{line} x\n")
    assert job.keys["schedule"] == line
    assert not job.notes


@pytest.mark.parametrize(
    ("line", "expression"),
    [
        ("*/60 * * * *", "0 * * * *"),
        ("0 */90 * * *", "0 0 * * *"),
        ("*/90 * * * *", "0 * * * *"),
        ("0 0 * * 6-0", "0 0 * * 0,6"),
        ("0 0 * * */7", "0 0 * * 0"),
        ("0 0 1-7 * */7", "0 0 * * 0#1"),
        ("0 0 */100,1-7 * mon", "0 0 * * 1#1"),
        ("0 22-2,5 * * *", "0 5 * * *"),
        ("0 0 1 */13 *", "0 0 1 1 *"),
        ("5-64/30 * * * *", "5,35 * * * *"),
    ],
)
def test_what_a_job_file_spells_otherwise_gets_an_equivalent_and_a_note(line: str, expression: str) -> None:
    job = only(f"{line} x\n")
    assert job.keys["schedule"] == expression
    assert any(f"`{line}` is `{expression}`" in note for note in job.notes)


def test_a_random_time_is_picked_once_for_ever() -> None:
    first, again = only("~ 1~5 * * * x\n"), only("~ 1~5 * * * x\n")
    minute, hour, *rest = first.keys["schedule"].split()
    assert again.keys["schedule"] == first.keys["schedule"]
    assert (0 <= int(minute) < 60, 1 <= int(hour) <= 5, rest) == (True, True, ["*", "*", "*"])
    assert any("picked from its ranges" in note for note in first.notes)


def test_a_minute_that_loses_its_star_is_told() -> None:
    job = only("*/60 2 * * * x\n")
    assert job.keys["schedule"] == "0 2 * * *"
    assert "elapsed time" in job.notes[-1]


def test_busybox_reads_otherwise_and_starts_no_job_beside_itself() -> None:
    job = only("0 0 */2 * 1 x\n", daemon="busybox")
    assert job.keys["schedule"] == "0 0 2,4,6,8,10,12,14,16,18,20,22,24,26,28,30 * 1"
    assert job.keys["overlap"] == "skip"


# ---- variables ------------------------------------------------------------------------------------------------------------


def test_variables_hold_for_the_lines_below_them(tmp_path: Path) -> None:
    jobs = jobs_of(imported("0 1 * * * a\nA=1\n0 2 * * * b\nA=2\nB='x y'\n0 3 * * * c\n"), tmp_path)
    path = {"PATH": "/usr/bin:/bin"}
    assert [dict(job.env) for job in jobs.values()] == [path, {"A": "1", **path}, {"A": "2", "B": "x y", **path}]


def test_what_all_jobs_share_stands_in_the_defaults() -> None:
    found = written("SHELL=/bin/bash\nPATH=/opt/bin\nHOME=/srv\nA=1\n0 1 * * * a\nA=2\n0 2 * * * b\n")
    assert found["defaults"] == {
        "catchup": "none",
        "overlap": "allow",
        "shell": "/bin/bash",
        "cwd": "/srv",
        "env": {"PATH": "/opt/bin", "HOME": "/srv"},
    }
    assert found["jobs"]["a"]["env"] == {"A": "1"}
    assert found["jobs"]["b"] == {"schedule": "0 2 * * *", "env": {"A": "2"}, "command": "b"}


def test_crons_own_path_is_kept(tmp_path: Path) -> None:
    assert jobs_of(imported("0 1 * * * a\n"), tmp_path)["a"].env == {"PATH": "/usr/bin:/bin"}
    assert "# cron's own" in writing.write(imported("0 1 * * * a\n"))
    assert "# cron's own" not in writing.write(imported("PATH=/usr/bin:/bin\n0 1 * * * a\n"))


def test_cronies_variables_are_keys_and_debians_are_variables() -> None:
    text = "CRON_TZ=Asia/Tokyo\nRANDOM_DELAY=30\n0 1 * * * a\n"
    keys = only(text).keys
    assert (keys["timezone"], keys["jitter"], keys["env"]) == ("Asia/Tokyo", "30m", {"PATH": "/usr/bin:/bin"})
    keys = only(text, daemon="debian").keys
    assert "timezone" not in keys
    assert keys["env"] == {"CRON_TZ": "Asia/Tokyo", "RANDOM_DELAY": "30", "PATH": "/usr/bin:/bin"}


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("SHELL=bash", "`SHELL` is not an absolute path"),
        ("HOME=srv", "`HOME` is not an absolute path"),
        ("CRON_TZ=Berlin", "there is no time zone `Berlin`"),
        ("RANDOM_DELAY=soon", "a number of minutes from 0 to 1440"),
    ],
)
def test_variables_that_do_nothing_are_refused(line: str, rule: str) -> None:
    done = imported(f"{line}\n0 1 * * * a\n")
    assert rule in done.refused[0].refusal.rule
    assert len(done.jobs) == 1


def test_variables_that_no_job_has_are_told() -> None:
    done = imported("0 1 * * * a\nA=1\nLOGNAME=x\nCONTENT_TYPE=text/html\n0 1 * * * b\nMAILTO=root\n")
    texts = [note.text for note in done.notes]
    assert texts == [
        "cron always sets `LOGNAME` itself: left out",
        "`CONTENT_TYPE` is about cron's mails: left out",
        "`MAILTO` applies to no job below it: left out",
    ]
    assert [note.line for note in done.notes] == [3, 4, 6]


# ---- alerts ---------------------------------------------------------------------------------------------------------------


def test_mailto_becomes_an_alert(tmp_path: Path) -> None:
    found = written("MAILTO=ops@example.org\n0 1 * * * a\n")
    assert found["alerts"] == {"ops": {"urls": ["mailto://localhost?from=root@localhost&to=ops@example.org"]}}
    assert "alert" not in found["jobs"]["a"]
    job = jobs_of(imported("MAILTO=ops@example.org\n0 1 * * * a\n"), tmp_path)["a"]
    assert job.alert is None


def test_an_empty_mailto_tells_nobody() -> None:
    found = written('MAILTO=ops@example.org\n0 1 * * * a\nMAILTO=""\n0 2 * * * b\nMAILTO=dba\n0 3 * * * c\n')
    assert set(found["alerts"]) == {"ops", "dba"}
    assert [job.get("alert") for job in found["jobs"].values()] == [["ops"], [], ["dba"]]
    assert written('MAILTO=""\n0 1 * * * a\n')["defaults"]["alert"] == []


def test_a_job_above_mailto_tells_nobody_where_others_do() -> None:
    found = written("0 1 * * * a\nMAILTO=ops@example.org\n0 2 * * * b\n")
    assert [job.get("alert") for job in found["jobs"].values()] == [[], None]


def test_mailfrom_several_addresses_and_users_of_the_machine() -> None:
    found = written('MAILTO="root, a+b@example.org"\nMAILFROM=cron@example.org\n0 1 * * * a\n')
    assert found["alerts"]["root"]["urls"] == ["mailto://localhost?from=cron@example.org&to=root@localhost,a%2Bb@example.org"]


def test_apprise_takes_the_urls() -> None:
    from cronflow.crontab.mail import MailTargets

    apprise = pytest.importorskip("apprise")
    targets = MailTargets()
    for mailto in ("root", "ops@example.org", "a b@example.org", "x+y@example.org,root"):
        assert apprise.Apprise().add(targets.of(mailto, "").url)
    assert [target.name for target in targets.all] == ["root", "ops", "a", "x-y"]


# ---- comments -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "description"),
    [
        ("# Nightly backup\n0 1 * * * a\n", "Nightly backup"),
        ("#Nightly backup:\n0 1 * * * a\n", "Nightly backup"),
        ("# Nightly backup\n\n0 1 * * * a\n", None),
        ("# Nightly backup\nA=1\n0 1 * * * a\n", None),
        ("# Nightly backup of\n# all databases.\n# It takes long.\n0 1 * * * a\n", "Nightly backup of all databases."),
        ("# 0 2 * * * old\n0 1 * * * a\n", None),
        ("# Backup\n#0 2 * * * old\n0 1 * * * a\n", "Backup"),
        ("# m h dom mon dow command\n0 1 * * * a\n", None),
        ("######\n# Backup\n######\n0 1 * * * a\n", "Backup"),
        ("# DO NOT EDIT below this line\n0 1 * * * a\n", None),
        ("# ünïcode ✓\n0 1 * * * a\n", "ünïcode ✓"),
    ],
)
def test_the_comment_above_a_job_is_its_description(text: str, description: str | None) -> None:
    job = only(text)
    assert job.keys.get("description") == description


def test_a_comment_describes_the_job_directly_below_it_and_no_other() -> None:
    found = written("# Check the quota\n* * * * * a\n0 0 1 * * b\n")
    assert [job.get("description") for job in found["jobs"].values()] == ["Check the quota", None]


def test_other_comments_stay_where_they_were() -> None:
    text = writing.write(imported("# Of the shop\n\n# Rates\n# 0 9 * * * old\n0 1 * * * a\n# Path\nA=1\n# end\n"))
    rows = text.splitlines()
    job = next(place for place, row in enumerate(rows) if row.startswith("[jobs.a]"))
    assert rows.index("# Of the shop") < rows.index("# 0 9 * * * old") < job
    assert "# end" in rows
    assert "# A=1:" in rows


def test_comments_that_explain_crontabs_are_left_out_and_counted() -> None:
    head = ("# A line has five fields: minute, hour,", "# day of month, month,", "# day of week, command", "# m h dom mon dow")
    done = imported("\n".join((*head, "0 1 * * * a\n")))
    assert done.comments == 4
    assert not done.jobs[0].before


def test_the_lines_that_crontab_puts_in_front_are_left_out() -> None:
    head = (
        "# DO NOT EDIT THIS FILE - edit the master and reinstall.",
        "# (/tmp/crontab.x1/crontab installed on Sat Nov 21 10:00:00 2026)",
        "# (Cron version -- $Id: crontab.c,v 2.13 1994/01/17 03:20:37 vixie Exp $)",
    )
    done = imported("\n".join((*head, "# Backup", "0 1 * * * a\n")))
    assert done.comments == 3
    assert done.jobs[0].keys["description"] == "Backup"
    assert not imported("\n".join((*head, "0 1 * * * a\n"))).jobs[0].keys.get("description")


# ---- names ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("/usr/local/bin/backup_db.sh", "backup-db"),
        ("cd /srv/etl && ./load.sh --all >> /var/log/load.log 2>&1", "load"),
        ("[ -x /usr/sbin/x ] && if [ ! -d /run ]; then /usr/sbin/check-health; fi", "check-health"),
        ("test -x /usr/sbin/anacron || ( cd / && run-parts --report /etc/cron.daily )", "cron-daily"),
        ("sudo -u www-data php /srv/app/artisan schedule:run", "schedule-run"),
        ("/home/zulip/manage.py update_analytics_counts", "update-analytics-counts"),
        ("su -s/bin/bash www-data -c '. ~/.profile && cd /opt && bundle exec rake congress:update'", "congress-update"),
        ("flock -n /tmp/lock /opt/bin/sync", "sync"),
        ("flock -n /tmp/lock -c '/opt/bin/sync --all'", "sync"),
        ("timeout -k 5 1h nice -n 10 python3 -u /opt/report.py", "report"),
        ("/usr/bin/wget -q -O - http://localhost/cron.php?key=1", "wget-cron"),
        ("rsync -a /srv/ backup:/srv", "rsync-srv"),
        ("find /var/cache/session -type f -delete", "find-session"),
        ("apt-get update", "apt-get-update"),
        ("systemctl restart nginx", "systemctl-restart"),
        ("python -m http.server", "http-server"),
        ("A=1 B=2 /opt/shop/run.sh", "shop-run"),
        ("$VV $HOME/scripts/updateBlast.pl", "update-blast"),
        ("sleep 30; /opt/poll", "poll"),
        ("/opt/librenms/daily.sh", "librenms-daily"),
        ("docker run --rm x:y", "docker-run"),
        ("echo 1", "echo"),
        ("'/opt/my job/run it.sh'", "run-it"),
        ("日本", "job"),
        ("((", "job"),
        ("", "job"),
    ],
)
def test_a_name_is_made_from_the_command(command: str, name: str) -> None:
    assert unique([NameRequest(idea(command), "", "", "")]) == [name]


def test_names_are_told_apart_by_words_then_times_then_numbers() -> None:
    text = "30 6 * * * x.sh a\n0 7 * * * x.sh b\n0 8 * * * y.sh\n0 9 * * 2 y.sh\n@reboot y.sh\n0 1 * * * z.sh\n0 1 * * * z.sh\n"
    assert [job.name for job in imported(text).jobs] == ["x-a", "x-b", "y-08-00", "y-tue-09-00", "y-reboot", "z", "z-2"]


def test_jobs_of_several_tables_are_told_apart_by_user_and_table() -> None:
    tables = [read(f"/etc/cron.d/{name}", "0 1 * * * root /x\n", "system", "auto") for name in ("one", "two")]
    assert [job.name for job in convert(tables).jobs] == ["x-one", "x-two"]


def test_no_name_is_a_number_or_too_long() -> None:
    names = unique([NameRequest(idea(command), "", "", "") for command in ("/opt/7", f"/opt/{'b-' * 60}", f"/opt/{'c' * 90}")])
    assert names[0] == "job-7"
    assert all(len(name) <= 40 for name in names)


# ---- the text -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        r"grep '\.log$' \\x",
        'say "a"',
        """say "a" 'b'""",
        "say 'a'",
        r"'\a'''b",
        "a\tb",
        "a\x07b",
        "ünïcode \u2028 x",
        r"tail '\x'",
        "''",
        '"""',
        r"\'''",
    ],
)
def test_a_command_is_the_same_when_it_is_read_back(command: str, tmp_path: Path) -> None:
    job = next(iter(jobs_of(imported(f"0 1 * * * {command}\n"), tmp_path).values()))
    assert job.command == command


def test_a_backslash_is_not_escaped() -> None:
    assert r"command = '''perl -e 'print \"a\n\"' '''" not in writing.write(imported("0 1 * * * x\n"))
    assert r"command = 'grep \.x \\'" in writing.write(imported("0 1 * * * grep \\.x \\\\\n"))


def test_the_same_table_gives_the_same_text() -> None:
    text = "MAILTO=a\n~ * * * * x\nB=1\n0 1 * * * y%z\n"
    assert writing.write(imported(text)) == writing.write(imported(text))


def test_cron_semantics_stand_once_in_the_defaults() -> None:
    text = writing.write(imported("0 1 * * * a\n0 2 * * * b\n"))
    assert text.count("catchup") == text.count("overlap") == 1
    assert '"skip" skips such a start' in text


def test_check_accepts_it_and_no_jobs_become_one_flow(tmp_path: Path) -> None:
    jobs = jobs_of(imported("@daily a\n0 0 * * * b\n@reboot c\n@reboot d\n"), tmp_path)
    assert len(plan(jobs).flows) == 4
    assert not [problem for problem in check(str(tmp_path / "imported.toml")) if problem.severity == "error"]


def test_no_job_is_a_job_file_too(tmp_path: Path) -> None:
    assert jobs_of(imported("# nothing\n"), tmp_path) == {}


def test_an_empty_command_is_true() -> None:
    job = only("* * * * * %(x)s run_it\n")
    assert (job.keys["command"], job.keys["stdin"], job.name) == ("true", "(x)s run_it\n", "run-it")


def test_a_refused_line_stands_in_the_file_as_a_comment() -> None:
    rows = writing.write(imported("60 * * * * x\n0 1 * * * a\n")).splitlines()
    place = rows.index("# 60 * * * * x")
    assert rows[place - 1].startswith("# not imported, line 1: `60` is out of bounds")
    assert rows[place + 2] == "[jobs.a]                              # line 2"


def test_comments_stay_with_their_table() -> None:
    texts = {"one": "0 1 * * * a\n# after a\n", "two": "# alone\n", "three": "# before b\n\n0 2 * * * b\n"}
    text = writing.write(convert([table(lines, name=name) for name, lines in texts.items()]))
    order = ["# ---- one -", "[jobs.a]", "# after a", "# ---- two -", "# alone", "# ---- three -", "# before b", "[jobs.b]"]
    places = [text.index(part) for part in order]
    assert places == sorted(places)


# ---- anacron --------------------------------------------------------------------------------------------------------------

ANACRONTAB = """\
SHELL=/bin/sh
START_HOURS_RANGE=3-22
RANDOM_DELAY=45
MAILTO=root
1 5 cron.daily nice run-parts \\
  /etc/cron.daily
7\t65\tcron.weekly\trun-parts /etc/cron.weekly
@monthly 45 cron.monthly a % b
10 5 ten x
1 bad x y
0 5 x y
1 2 3
"""


def test_an_anacrontab(tmp_path: Path) -> None:
    done = imported(ANACRONTAB, "anacron")
    jobs = jobs_of(done, tmp_path)
    assert [(job.name, job.schedule, job.every) for job in jobs.values()] == [
        ("cron-daily", ("5 3 * * *",), None),
        ("cron-weekly", ("5 4 * * 0",), None),
        ("cron-monthly", ("45 3 1 * *",), None),
        ("ten", (), 864000),
    ]
    daily = jobs["cron-daily"]
    assert daily.command == "nice run-parts    /etc/cron.daily"
    assert (daily.catchup, daily.overlap, daily.jitter, daily.cwd, dict(daily.env)) == ("last", "skip", 2700.0, "/", {})
    assert jobs["cron-monthly"].command == "a % b"
    assert [one.refusal.line for one in done.refused] == [10, 11, 12]


def test_debians_anacrontab_starts_at_half_past_seven() -> None:
    assert only("1 5 cron.daily x\n", None).keys["schedule"] == "35 7 * * *"


def test_a_table_and_an_anacrontab_together(tmp_path: Path) -> None:
    done = convert([table("0 1 * * * a\n0 2 * * * b\n"), table("1 5 c x\n", None, name="/etc/anacrontab")])
    jobs = jobs_of(done, tmp_path)
    assert [(job.catchup, job.overlap) for job in jobs.values()] == [("none", "allow"), ("none", "allow"), ("last", "skip")]
