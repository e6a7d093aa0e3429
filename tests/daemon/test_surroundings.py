"""What a command finds around it, however it was started: by its schedule, by hand, as a retry, with a daemon or without."""

from __future__ import annotations

import grp
import os
import pwd
import re
import shlex
import signal

import pytest

from tests.daemon.live import PROGRAM, Live, job

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")

STANDARD_SIGNALS = (1 << 31) - 1
"""Those up to 31: the C library keeps 32 and 33 for itself, and ignores them in what it spawns."""
VARYING = ("CRONFLOW_RUN_ID", "CRONFLOW_TRIGGER", "CRONFLOW_ATTEMPT", "CRONFLOW_ID", "CRONFLOW_SCHEDULED_AT", "CRONFLOW_DATE")
VARYING += ("CRONFLOW_STATE_DIR", "CRONFLOW_OUTPUT")
SURROUNDINGS = """\
env | sort
echo "pwd $PWD umask $(umask) nice $(nice)"
echo "stdin $(readlink /proc/self/fd/0) $(cat | wc -c)"
echo "fds $(cd /proc/self/fd && echo *)"
cat /proc/$$/oom_score_adj
"""
OF_THE_DAEMON = {
    "NOTIFY_SOCKET": "/nowhere",
    "WATCHDOG_USEC": "30000000",
    "LISTEN_FDS": "1",
    "LISTEN_PID": "1",
    "LISTEN_FDNAMES": "x",
    "INVOCATION_ID": "0123456789abcdef",
    "JOURNAL_STREAM": "8:1",
    "LANG": "de_DE.UTF-8",
    "LC_ALL": "C.UTF-8",
    "SECRET_OF_THE_SHELL": "x",
    "PYTHONWARNINGS": "error",
    "XDG_RUNTIME_DIR": "/run/user/0",
}


def settled(text: str) -> dict[str, str]:
    """The lines of an output by their first word, without those variables that say which run and attempt it is."""
    lines = dict(re.split(r"[=\s]+|$", line, maxsplit=1) for line in text.splitlines())
    return {name: value for name, value in lines.items() if name not in VARYING}


def test_the_same_by_schedule_by_hand_and_in_a_retry_with_and_without_a_daemon(live: Live) -> None:
    (live.folder / "more.env").write_text("FROM_FILE='a b'\nBOTH=file\n")
    command = SURROUNDINGS + f'[ "$CRONFLOW_ATTEMPT" = 2 ] || [ -e {live.path("ok")} ]'
    keys = {"env": {"GREETING": "it's", "BOTH": "env"}, "env_file": str(live.path("more.env")), "cwd": "/usr/lib"}
    text = job("a", command, schedule="* * * * * *", retries=1, retry_delay="50ms", umask="0027", nice=3, **keys)
    live.start(text, **OF_THE_DAEMON)
    first = live.until(lambda: live.one("SELECT min(id) FROM runs WHERE state = 'success'"))
    seen = [live.output(first, "a", 1), live.output(first, "a", 2)]
    live.write(text.replace('schedule = "* * * * * *"\n', ""))
    assert live.cli("reload").status == 0
    live.until(lambda: live.one("SELECT count(*) FROM runs WHERE finished_at IS NULL") == 0)
    by_hand = live.run("a")
    live.final(by_hand)
    seen += [live.output(by_hand, "a", 1), live.output(by_hand, "a", 2)]
    live.terminate()
    here = live.cli("run", "a", "--json", **OF_THE_DAEMON)
    number = here.json["runs"][0]["id"]
    seen += [live.output(number, "a", 1), live.output(number, "a", 2)]

    one = settled(seen[0])
    previous = "CRONFLOW_PREVIOUS_SUCCESS_AT"
    for text in seen:
        found = settled(text)
        found.pop(previous, None)
        assert found == one
    assert previous not in seen[0]
    assert previous in seen[-1]
    assert {trigger for text in seen for trigger in text.splitlines() if trigger.startswith("CRONFLOW_TRIGGER=")} == {
        "CRONFLOW_TRIGGER=schedule",
        "CRONFLOW_TRIGGER=manual",
    }
    me = pwd.getpwuid(os.geteuid())
    variables = {name for name in one if name.isupper()}
    assert variables - {"CRONFLOW_JOB", "_", "PWD", "OLDPWD", "SHLVL"} == {
        *("HOME", "USER", "LOGNAME", "SHELL", "PATH", "LANG", "FROM_FILE", "BOTH", "GREETING"),
    }
    assert (one["HOME"], one["USER"], one["LOGNAME"], one["SHELL"]) == (me.pw_dir, me.pw_name, me.pw_name, "/bin/sh")
    assert (one["LANG"], one["BOTH"], one["FROM_FILE"], one["GREETING"]) == ("de_DE.UTF-8", "env", "a b", "it's")
    assert one["CRONFLOW_JOB"] == "a"
    assert one["pwd"] == "/usr/lib umask 0027 nice 3"
    assert one["stdin"] == "/dev/null 0"
    assert one["fds"] in ("0 1 2", "0 1 2 3")  # 3 is the folder that the shell is reading
    assert one["0"] == ""


def test_what_cronflow_tells_a_command(live: Live) -> None:
    live.start(job("a", "env | grep ^CRONFLOW_ | sort; exit 1", retries=1, retry_delay="50ms", timezone="Asia/Tokyo"))
    run = live.run("a", at=1767225600)
    live.final(run)
    told = [dict(line.split("=", 1) for line in live.output(run, "a", n).splitlines()) for n in (1, 2)]
    assert [one["CRONFLOW_ATTEMPT"] for one in told] == ["1", "2"]
    for one in told:
        assert one["CRONFLOW_JOB"] == "a"
        assert one["CRONFLOW_RUN_ID"] == str(run)
        assert one["CRONFLOW_TRIGGER"] == "manual"
        assert one["CRONFLOW_SCHEDULED_AT"] == "2026-01-01T09:00:00+09:00"
        assert one["CRONFLOW_DATE"] == "2026-01-01"


def test_stdin_is_a_text_and_an_array_needs_no_shell(live: Live) -> None:
    live.start(job("a", "cat", stdin="first\nsecond % $HOME\n") + '[jobs.b]\ncommand = ["printf", "%s|", "a b", "$HOME", "*"]\n')
    run = live.run("a")
    assert live.final(run) == "success"
    assert live.output(run, "a") == "first\nsecond % $HOME\n"
    run = live.run("b")
    assert live.final(run) == "success"
    assert live.output(run, "b") == "a b|$HOME|*|"


def test_the_terminal_and_signals_of_the_shell_are_not_inherited(live: Live) -> None:
    """A daemon started under nohup with a signal blocked: its commands are not."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        status = '[jobs.a]\ncommand = ["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"]\n'
        live.start(status + job("b", "cat /proc/$$/stat; echo $$"))
    finally:
        signal.signal(signal.SIGHUP, before)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
    run = live.run("a")
    live.final(run)
    lines = live.output(run, "a").splitlines()
    assert [int(line.split()[1], 16) & STANDARD_SIGNALS for line in lines] == [0, 0]
    run = live.run("b")
    live.final(run)
    stat, pid = live.output(run, "b").splitlines()
    group, session, terminal = stat.rpartition(")")[2].split()[2:5]
    assert (group, session, terminal) == (pid, pid, "0")


@needs_root
def test_another_user_with_all_its_groups(live: Live) -> None:
    entry = pwd.getpwnam("nobody")
    groups = sorted(os.getgrouplist("nobody", entry.pw_gid))
    text = job("a", "id -u; id -g; id -G; echo $HOME $USER $PATH; id -un", user="nobody", cwd="/")
    text += job("b", "id -g; id -G", user="nobody", group="daemon", cwd="/")
    text += job("c", "cat secret", user="nobody", cwd=str(live.folder))
    secret = live.write("x", "secret")
    secret.chmod(0o600)
    live.start(text)
    run = live.run("a")
    assert live.final(run) == "success"
    lines = live.output(run, "a").splitlines()
    assert lines[:2] == [str(entry.pw_uid), str(entry.pw_gid)]
    assert sorted(map(int, lines[2].split())) == groups
    assert lines[3] == f"{entry.pw_dir} nobody /usr/local/bin:/usr/bin:/bin"
    run = live.run("b")
    assert live.final(run) == "success"
    gid = grp.getgrnam("daemon").gr_gid
    lines = live.output(run, "b").splitlines()
    assert lines[0] == str(gid)
    assert 0 not in set(map(int, lines[1].split()))
    run = live.run("c")
    assert live.final(run) == "failed"
    assert "ermission denied" in live.output(run, "c")


@needs_root
def test_a_folder_that_the_user_may_not_enter(live: Live) -> None:
    folder = live.path("closed")
    folder.mkdir(mode=0o700)
    live.start(job("a", "true", user="nobody", cwd=str(folder)))
    run = live.run("a")
    assert live.final(run) == "failed"
    row = live.rows("SELECT reason, note FROM tasks WHERE run = ?", run)[0]
    assert row == ("no_cwd", f"`cwd`: cannot enter `{folder}`: permission denied")


def test_what_the_daemon_writes_is_for_its_user_alone(live: Live) -> None:
    before = os.umask(0)
    try:
        live.start(job("a", "umask > x; echo x", cwd=str(live.folder)))
    finally:
        os.umask(before)
    run = live.run("a")
    live.final(run)
    assert live.path("x").read_text() == "0022\n"
    found = [live.state, *live.state.rglob("*")]
    assert live.places.log(run, "a", 1) in found
    assert [path for path in found if path.stat().st_mode & 0o077] == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_daemon_whose_words_find_no_room_works_and_leaves_in_peace(live: Live) -> None:
    words = shlex.join((*PROGRAM, "daemon"))
    live.start(job("a", "exit 3"), "/bin/sh", "-c", f"exec {words} 2>/dev/full")
    assert live.final(live.run("a")) == "failed"
    assert live.terminate() == 0
