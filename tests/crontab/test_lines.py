"""Lines of a crontab, by the rules of Debian's cron, cronie and busybox."""

from __future__ import annotations

import pytest

from cronflow.crontab import entries
from cronflow.crontab.cronrules import RefusedError, read
from cronflow.crontab.settings import Assignment, assignment, unquoted_again
from cronflow.crontab.tables import Blank, Comment, CrontabEntry, Daemon, Refusal, Setting
from tests.crontab.reading import entry, refusal, table


def lowest(low: int, _: int) -> int:
    return low


# ---- time fields ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("60 * * * *", "`60` is out of bounds: the minute field goes from 0 to 59"),
        ("0 24 * * *", "`24` is out of bounds"),
        ("0 0 0 * *", "`0` is out of bounds: the day of month field goes from 1 to 31"),
        ("5/15 * * * *", "`5/15` has a step without a range"),
        ("0 22-2 * * *", "`22-2` runs backwards: it contains no hour, so cron never starts the job"),
        ("0 0 * * fri-mon", "`fri-mon` runs backwards"),
        ("0 0 30 2 *", "no day ever matches `30 2 *`"),
        ("0 0 31 4,6,9,11 *", "no day ever matches"),
        ("*/0 * * * *", "`*/0` has a step of 0"),
        ("*/ 7-21 * * *", "`*/` has no number after its `/`"),
        ("0 0 * * sunday", "`sunday` is not a valid day of week"),
        ("0 0 * mon *", "`mon` is not a valid month"),
        ("jan 0 * * *", "`jan` is not a valid minute"),
        ("1,,2 * * * *", "the minute field has an empty item"),
        ("0 0 L * *", "`L` is not a valid day of month"),
        ("@Daily", "`@Daily` is not a known time"),
        ("@fortnightly", "`@fortnightly` is not a known time"),
    ],
)
def test_what_cron_refuses_or_never_starts_is_refused_with_the_rule(line: str, rule: str) -> None:
    assert rule in refusal(f"{line} cmd").rule


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("5/15 * * * *", "`5-59/15` has one"),
        ("0 0 L * *", "takes it"),
        ("H 4 * * *", "Jenkins"),
        ("0 0 ? * *", "Quartz"),
        ("0 0 15W * *", "Quartz"),
        ("@Daily", "write `@daily`"),
    ],
)
def test_the_hint_is_the_spelling_meant(line: str, hint: str) -> None:
    assert hint in refusal(f"{line} cmd").hint


@pytest.mark.parametrize(
    ("line", "whose"),
    [
        ("0 0 12 * * ? /bin/job", "Quartz"),
        ("!bootrun(true),nice(15)", "fcron"),
        ("%daily * 3-6 run-parts /etc/cron.daily", "fcron"),
        ("&bootrun 0 4 * * * /bin/job", "fcron"),
        ("@every 5m /bin/job", "Go"),
        ("@every 1h30m /bin/job", "Go"),
        ("@noauto ID=x /bin/job", "dcron"),
        ("rate(5 minutes) /bin/job", "AWS"),
        ("*-*-* 04:00:00 /bin/job", "systemd"),
        ("CRON_TZ=UTC 0 4 * * * /bin/job", "Go"),
        ("@every_second /bin/job", "FreeBSD"),
    ],
)
def test_lines_of_other_programs_are_named_as_such(line: str, whose: str) -> None:
    found = refusal(line)
    assert whose in found.rule, found


def test_the_place_of_a_refusal_is_that_of_the_field() -> None:
    found = refusal("  0  25 * * * cmd")
    assert (found.column, found.length) == (6, 2)


def test_seven_fields_are_told_from_a_command() -> None:
    assert "where the command belongs" in refusal("* * * * * * * cmd").rule
    assert "where the user belongs" in refusal("0 0 4 * * * root cmd", "system").rule


@pytest.mark.parametrize(
    ("word", "daemon", "expected"),
    [
        ("5-64/30", "cronie", {5, 35}),
        ("5-64/30", "debian", None),
        ("5.x", "debian", {5}),
        ("5.x", "cronie", None),
        ("*x,3", "debian", set(range(60))),
        ("1-5-9", "debian", {1, 2, 3, 4, 5}),
        ("5/15", "busybox", {5}),
        ("58-2", "busybox", {58, 59, 0, 1, 2}),
        ("58-2", "debian", None),
        ("7~9", "cronie", {7}),
        ("~", "cronie", {0}),
        ("~", "debian", None),
        ("9~7", "cronie", None),
        ("*/90", "debian", {0}),
        ("007", "cronie", {7}),
        ("1,2-3", "debian", {1, 2, 3}),
        ("5-0", "cronie", {5, 6, 7}),
    ],
)
def test_where_the_daemons_differ(word: str, daemon: Daemon, expected: set[int] | None) -> None:
    assert daemon != "auto"
    if expected is None:
        with pytest.raises(RefusedError):
            read((word, "*", "*", "*", "*"), daemon, lowest)
    else:
        assert read((word, "*", "*", "*", "*"), daemon, lowest).minutes == expected


def test_busybox_counts_days_of_the_month_from_0_and_joins_day_fields_by_what_they_leave_out() -> None:
    assert read(("0", "0", "*/2", "*", "*"), "busybox", lowest).days == frozenset(range(0, 32, 2))
    assert not read(("0", "0", "*/2", "*", "1"), "busybox", lowest).both
    assert read(("0", "0", "*/2", "*", "1"), "debian", lowest).both
    assert read(("0", "0", "*", "*", "1"), "busybox", lowest).both


def test_where_only_one_of_the_daemons_starts_a_job_it_is_imported_with_a_note() -> None:
    assert "cronie starts this line, Debian's cron does not" in entry("0 0 * * sat-sun x").notes[0]
    assert "Debian's cron starts this line, cronie does not" in entry("5.x 0 * * * x").notes[0]
    assert "sat-sun" in refusal("0 0 * * sat-sun x", daemon="debian").rule
    assert "~" in refusal("~ 0 * * * x", daemon="debian").rule


# ---- commands -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "command", "stdin"),
    [
        ("date +\\%F", "date +%F", None),
        ("mail joe%Hello%%there", "mail joe", "Hello\n\nthere\n"),
        ("cat%", "cat", None),
        ("cat%%", "cat", "\n"),
        ("cat%a\\%b", "cat", "a%b\n"),
        ("cat%a\\nb%", "cat", "a\\nb\n"),
        ("grep '\\.x'", "grep '\\.x'", None),
        ("echo a\\\\%b", "echo a\\\\", "b\n"),
    ],
)
def test_a_percent_sign_ends_the_command(text: str, command: str, stdin: str | None) -> None:
    assert entries.split_percent(text, False) == (command, stdin)


def test_of_two_backslashes_debian_takes_one() -> None:
    assert entries.split_percent("echo a\\\\b", True) == ("echo a\\b", None)
    assert entries.split_percent("echo a\\\\%b", True) == ("echo a\\", "b\n")
    assert entry("0 0 * * * echo a\\\\b", daemon="debian").command == "echo a\\b"
    assert entry("0 0 * * * echo a\\\\b").command == "echo a\\\\b"
    assert "Debian's cron removes one of two backslashes" in entry("0 0 * * * echo a\\\\b").notes[0]


def test_to_busybox_a_percent_sign_means_nothing() -> None:
    found = entry("0 0 * * * date +%F\\%T", daemon="busybox")
    assert (found.command, found.stdin) == ("date +%F\\%T", None)


def test_blanks_around_a_command_are_left_out_but_for_one_that_belongs_to_it() -> None:
    assert entry("0 0 * * *\t  ls  -l \t").command == "ls  -l"
    assert entry("0 0 * * * ls a\\ ").command == "ls a\\ "


def test_a_dash_in_front_and_an_option_are_cronies() -> None:
    assert "in the history" in entry("-0 0 * * * x").notes[0]
    assert refusal("-0 0 * * * x", daemon="debian").rule == "`-0` is not a valid minute"
    found = entry("0 0 * * * -n backup --all")
    assert found.command == "backup --all"
    assert entry("0 0 * * * -n backup", daemon="debian").command == "-n backup"
    assert "OpenBSD" in refusal("0 0 * * * -s backup").rule


def test_a_line_without_a_command_is_refused() -> None:
    assert refusal("0 0 * * *").rule == "there is no command after the time"
    assert refusal("@daily").rule == "there is no command after the time"
    assert refusal("0 0 * * * root", "system").rule == "there is no command after the user `root`"
    assert "3 of the five time fields" in refusal("0 4 *").rule


def test_the_user_column() -> None:
    found = entry("0 0 * * * www-data  /bin/x  y", "system")
    assert (found.user, found.command) == ("www-data", "/bin/x  y")
    assert entry("@reboot root x", "system").user == "root"
    assert "`$WHO` cannot be a user" in refusal("0 0 * * * $WHO x", "system").rule


@pytest.mark.parametrize("word", ["@reboot", "@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"])
def test_names_of_times_stay(word: str) -> None:
    assert entry(f"{word} x").words == (word,)


def test_every_minute_has_a_name_in_freebsd() -> None:
    found = entry("@every_minute x")
    assert found.words == ("*",) * 5
    assert "FreeBSD" in found.notes[0]


# ---- settings -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("A=b", "A", "b"),
        ("A = b c ", "A", "b c"),
        ('A="b c "', "A", "b c "),
        ("A='it\"s'", "A", 'it"s'),
        ('"A B" = x', "A B", "x"),
        ("MAILTO=\"\"", "MAILTO", ""),
        ("A=b # c", "A", "b # c"),
        ("A=$B/x", "A", "$B/x"),
        ("GET=\"$L -m\"", "GET", "$L -m"),
    ],
)
def test_a_setting(line: str, name: str, value: str) -> None:
    assert assignment(line) == Assignment(name, value)


@pytest.mark.parametrize("line", ["A b=c", '"A=b', "0 0 * * * A=b x", '"A=x"=b', "A='b' c", "@daily A=b x", "A='b"])
def test_no_setting(line: str) -> None:
    assert assignment(line) is None


def test_debian_takes_off_a_second_pair_of_quotes() -> None:
    assert unquoted_again("'x y'") == "x y"
    (setting,) = table("A=\"'x'\"\n", daemon="debian").items
    assert isinstance(setting, Setting)
    assert setting.value == "x"


def test_a_setting_without_a_value_is_cronies() -> None:
    (setting,) = table("MAILTO=\n").items
    assert isinstance(setting, Setting)
    assert 'it wants `MAILTO=""`' in setting.note
    assert "has no value" in refusal("MAILTO=", daemon="debian").rule


def test_variables_that_no_job_file_sets_are_refused() -> None:
    assert "`A-B` is not a variable name" in refusal("A-B=c").rule
    assert "cronflow itself sets" in refusal("CRONFLOW_JOB=c").rule


# ---- tables ---------------------------------------------------------------------------------------------------------------


def test_each_line_is_one_item() -> None:
    found = table("# a\n\n \t\nA=b\n0 0 * * * x\nbroken\n")
    kinds = [type(item) for item in found.items]
    assert kinds == [Comment, Blank, Blank, Setting, CrontabEntry, Refusal]
    assert [item.line for item in found.items] == [1, 2, 3, 4, 5, 6]


def test_windows_line_ends_a_mark_and_no_newline_are_told() -> None:
    found = table(b"\xef\xbb\xbfA=b\r\n0 0 * * * x\r\n\r\n1 0 * * * y")
    assert [item.command for item in found.items if isinstance(item, CrontabEntry)] == ["x", "y"]
    assert len([note for note in found.notes if "byte order mark" in note or "Windows" in note or "newline" in note]) == 3


def test_bytes_that_are_no_utf8() -> None:
    found = table(b"# caf\xe9\n0 0 * * * echo caf\xe9\n")
    assert [type(item) for item in found.items] == [Comment, Refusal]
    assert isinstance(found.items[1], Refusal)
    assert "not UTF-8" in found.items[1].rule


def test_for_one_bad_line_debian_ignores_the_table() -> None:
    assert any("ignores a whole crontab" in note for note in table("bad\n").notes)
    assert not table("bad\n", daemon="cronie").notes


# ---- looking --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("0 0 * * * root /bin/x\n", "system"),
        ("0 0 * * * /bin/x\n", "user"),
        ("0 0 * * * backup\n", "user"),
        ("0 0 * * * php /x.php\n", "user"),
        ("0 0 * * * zulip cd /home && ./x\n", "system"),
        ("0 0 * * * henry x\n1 0 * * * root y\n", "system"),
        ("@daily root ls\n", "system"),
        ("0 0 * * * rsnapshot daily\n", "user"),
        ("1 5 cron.daily run-parts /etc/cron.daily\n", "anacron"),
        ("@monthly 15 cron.monthly run-parts /etc/cron.monthly\nA=b\n", "anacron"),
        ("# m h dom mon dow user command\n0 0 * * * anna x\n", "system"),
        ("", "user"),
    ],
)
def test_what_a_table_is_is_found_by_looking(text: str, kind: str) -> None:
    assert table(text, None).kind == kind


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/etc/crontab", "system"), ("/mnt/etc/cron.d/x", "system"), ("/etc/crontabs/root", "user"), ("/etc/anacrontab", "anacron")],
)
def test_a_path_tells(path: str, kind: str) -> None:
    assert table("0 0 * * * backup all\n", None, name=path).kind == kind


def test_alpine_has_busybox() -> None:
    assert table("0 2 * * * run-parts /etc/periodic/daily\n1 1 * * * sleep $((1 % 2))\n").daemon == "busybox"
