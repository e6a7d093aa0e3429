"""What a command is started with: accounts, environments, words, env files."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cronflow.core.jobs import Job
from cronflow.daemon.processes.environment import (
    Account,
    EnvFileError,
    Unstartable,
    account,
    argv,
    cwd,
    difference,
    environment,
    parse_env_file,
)

ANNA = Account("anna", 1000, 1000, (1000, 27), "/home/anna", "/bin/zsh")
ROOT = Account("root", 0, 0, (0,), "/root", "/bin/bash")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")


def job(**keys: Any) -> Job:
    return Job("load", **{"command": "true", **keys})


def as_user(uid: int, gid: int, act: Callable[[], str]) -> str:
    """What a function returns in a child process with other rights."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
            os.write(write, act().encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as stream:
        text = stream.read().decode()
    os.waitpid(child, 0)
    return text


def test_the_fixed_part() -> None:
    base = {"LANG": "de_DE.UTF-8", "LC_ALL": "C", "PATH": "/opt/bin", "NOTIFY_SOCKET": "x", "CRONFLOW_FILE": "y", "TZ": "UTC"}
    assert environment(job(), ANNA, {"CRONFLOW_JOB": "load"}, base) == {
        "HOME": "/home/anna",
        "USER": "anna",
        "LOGNAME": "anna",
        "SHELL": "/bin/sh",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": "de_DE.UTF-8",
        "CRONFLOW_JOB": "load",
    }


def test_root_has_the_sbin_folders_and_an_unset_lang_stays_unset() -> None:
    found = environment(job(shell="/bin/bash"), ROOT, {}, {})
    assert found["PATH"] == "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert found["SHELL"] == "/bin/bash"
    assert "LANG" not in found


def test_later_ones_win(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("A=file\nB=file\nPATH=/file\nLANG=C\n")
    (tmp_path / "b").write_text("B=second\nC=second\n")
    files = (str(tmp_path / "a"), f"-{tmp_path}/missing", str(tmp_path / "b"))
    found = environment(job(env_file=files, env={"C": "env", "HOME": "/x"}), ANNA, {"CRONFLOW_JOB": "load"}, {"LANG": "de"})
    assert (found["A"], found["B"], found["C"], found["HOME"]) == ("file", "second", "env", "/x")
    assert (found["PATH"], found["LANG"], found["CRONFLOW_JOB"]) == ("/file", "C", "load")


def test_an_env_file_in_the_home_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "job.env").write_text("A=1")
    who = Account("anna", 1000, 1000, (1000,), str(tmp_path), "/bin/sh")
    assert environment(job(env_file=("~/job.env",)), who, {}, {})["A"] == "1"


def unstartable(act: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(Unstartable) as fault:
        act()
    return fault.value.reason, fault.value.message


def test_env_files_that_cannot_be_had(tmp_path: Path) -> None:
    def with_file(path: object) -> tuple[str, str]:
        return unstartable(lambda: environment(job(env_file=(str(path),)), ANNA, {}, {}))

    assert with_file(tmp_path / "none") == ("no_env_file", f"`env_file`: there is no file `{tmp_path}/none`")
    assert with_file(tmp_path) == ("no_env_file", f"`env_file`: `{tmp_path}` cannot be read: is a directory")
    os.mkfifo(tmp_path / "pipe")
    assert with_file(tmp_path / "pipe") == ("no_env_file", f"`env_file`: `{tmp_path}/pipe` is no regular file")
    assert with_file(f"-{tmp_path}")[0] == "no_env_file"
    (tmp_path / "bad").write_text("A=1\n\nno assignment with S3cret\n")
    assert with_file(tmp_path / "bad") == ("env_file", f"`env_file`: {tmp_path}/bad:3 is no `KEY=value`")
    (tmp_path / "bytes").write_bytes(b"A=1\nB=\xff\n")
    assert with_file(tmp_path / "bytes") == ("env_file", f"`env_file`: {tmp_path}/bytes:2 is no UTF-8")
    (tmp_path / "large").write_bytes(b"#" * 1_000_001)
    assert with_file(tmp_path / "large") == ("env_file", f"`env_file`: `{tmp_path}/large` is larger than 1 MB")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("A=1", {"A": "1"}),
        ("A=1\nB=2\n", {"A": "1", "B": "2"}),
        ("# a\n; b\n\n   \nA=1", {"A": "1"}),
        ("export A=1", {"A": "1"}),
        ("  A = x y  ", {"A": "x y"}),
        ("A=", {"A": ""}),
        ("A=a#b # c", {"A": "a#b"}),
        ("A=# c", {"A": ""}),
        ("A=a=b", {"A": "a=b"}),
        ("A=it's", {"A": "it's"}),
        ("A=$HOME `x` \\n", {"A": "$HOME `x` \\n"}),
        ("A='x # y'  # z", {"A": "x # y"}),
        ("A='$x \\n'", {"A": "$x \\n"}),
        ('A="x # y"', {"A": "x # y"}),
        ('A="a\\"b\\\\c\\$d\\`e\\n"', {"A": 'a"b\\c$d`e\\n'}),
        ("A='one\ntwo'\nB=2", {"A": "one\ntwo", "B": "2"}),
        ('A="one\ntwo\\\nthree"\nB=2', {"A": "one\ntwothree", "B": "2"}),
        ("A=1\nA=2", {"A": "2"}),
        ("A=ü日", {"A": "ü日"}),
    ],
)
def test_env_files(text: str, found: dict[str, str]) -> None:
    assert parse_env_file(text) == found


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("A", 1, "is no `KEY=value`"),
        ("\n\n1A=5", 3, "is no `KEY=value`"),
        ("A-B=5", 1, "is no `KEY=value`"),
        ("A=1\nB='x\n\n", 2, "has a ' that is not closed"),
        ('A="x\\"', 1, 'has a " that is not closed'),
        ("A='x' y", 1, "goes on after its closing quote"),
        ("CRONFLOW_JOB=x", 1, "sets `CRONFLOW_JOB`, which cronflow sets itself"),
        ("A=x\0y", 1, "has a NUL character in the value of `A`"),
    ],
)
def test_what_is_no_env_file(text: str, line: int, what: str) -> None:
    with pytest.raises(EnvFileError) as fault:
        parse_env_file(text)
    assert (fault.value.line, fault.value.what) == (line, what)


@given(st.dictionaries(st.from_regex("[A-Z_][A-Z0-9_]{0,5}", fullmatch=True), st.text(st.characters(exclude_characters="'\0"))))
def test_single_quotes_keep_everything(variables: dict[str, str]) -> None:
    text = "\n".join(f"{name}='{value}'" for name, value in variables.items())
    assert parse_env_file(text) == variables


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_with_its_line(text: str) -> None:
    try:
        parse_env_file(text)
    except EnvFileError as fault:
        line = fault.line
    else:
        return
    assert 1 <= line <= text.count("\n") + 1


def test_words_of_the_command(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "tool"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    path = {"PATH": f"/no/such:{program.parent}"}
    assert argv("a | b", "/bin/bash", {}, "/") == ["/bin/bash", "-c", "a | b"]
    assert argv(("tool", "a b", ""), "/bin/sh", path, "/") == [str(program), "a b", ""]
    assert argv(("tool",), "/bin/sh", {"PATH": "/usr/bin"}, "/") == ["tool"]
    assert argv(("tool",), "/bin/sh", {"PATH": "bin"}, str(tmp_path)) == [str(program)]
    assert argv(("./tool", "x"), "/bin/sh", path, "/") == ["./tool", "x"]
    assert argv(("tool",), "/bin/sh", {}, "/") == ["tool"]


def test_the_folder() -> None:
    assert cwd(job(), ANNA) == "/home/anna"
    assert cwd(job(cwd="/srv"), ANNA) == "/srv"
    assert cwd(job(cwd="~"), ANNA) == "/home/anna"
    assert cwd(job(cwd="~/etl"), ANNA) == "/home/anna/etl"


def test_the_own_account() -> None:
    entry = pwd.getpwuid(os.geteuid())
    who = account(job())
    assert (who.name, who.uid, who.gid, who.home) == (entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir)
    assert who.gid in who.groups
    assert account(job(user=entry.pw_name)).uid == entry.pw_uid


def test_accounts_that_are_not_there() -> None:
    assert unstartable(lambda: account(job(user="no-such-user"))) == (
        "no_user",
        "`user`: there is no user `no-such-user` on this machine",
    )
    assert unstartable(lambda: account(job(group="no-such-group")))[0] == "no_group"
    assert unstartable(lambda: account(job(user="99999999999999999999")))[0] == "no_user"


@needs_root
def test_another_account() -> None:
    entry = pwd.getpwnam("nobody")
    who = account(job(user="nobody"))
    assert (who.name, who.uid, who.gid) == ("nobody", entry.pw_uid, entry.pw_gid)
    assert who.groups == tuple(sorted(os.getgrouplist("nobody", entry.pw_gid)))
    assert account(job(user=str(entry.pw_uid))).name == "nobody"
    daemon = grp.getgrnam("daemon").gr_gid
    who = account(job(user="nobody", group="daemon"))
    assert who.gid == daemon
    assert daemon in who.groups
    assert 0 not in who.groups


@needs_root
def test_without_root_only_oneself() -> None:
    nobody = pwd.getpwnam("nobody")

    def reasons() -> str:
        told = [account(job()).name, account(job(user="nobody")).name]
        for keys in ({"user": "root"}, {"group": "root"}):
            try:
                account(job(**keys))
            except Unstartable as fault:
                told.append(fault.reason)
        return " ".join(told)

    assert as_user(nobody.pw_uid, nobody.pw_gid, reasons) == "nobody nobody not_permitted not_permitted"


@needs_root
def test_a_user_without_an_entry() -> None:
    def told() -> str:
        who = account(job())
        return f"{who.name} {who.uid} {who.gid} {who.groups}"

    assert as_user(54321, 54322, told) == "54321 54321 54322 (54322,)"


def test_the_difference() -> None:
    env = {"A": "1", "B": "2", "PATH": "/bin", "CRONFLOW_JOB": "x"}
    found = difference(env, {"B": "2", "PATH": "/usr/bin", "EDITOR": "vi", "_": "x", "SHLVL": "1"})
    assert found.added == {"A": "1"}
    assert found.missing == {"EDITOR": "vi"}
    assert found.differing == {"PATH": ("/bin", "/usr/bin")}


@pytest.mark.parametrize("name", ["²", "٣", "root\n", "-1", "99999999999"])
def test_names_that_only_look_like_those_of_a_user(name: str) -> None:
    with pytest.raises(Unstartable) as fault:
        account(Job("a", "true", user=name))
    assert fault.value.reason in ("no_user", "not_permitted")
