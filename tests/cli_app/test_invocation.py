"""What the invocation's streams and locale can show."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from cronflow.cli.invocation import Invocation, Terminal, utf8
from cronflow.places import find_places
from tests.cli_app.conftest import Cli


@pytest.mark.parametrize(
    ("environ", "unicode"),
    [
        ({"LANG": "de_DE.UTF-8"}, True),
        ({"LANG": "en_US.utf8"}, True),
        ({"LANG": "C.UTF-8"}, True),
        ({"LANG": "C"}, False),
        ({}, False),
        ({"LANG": "de_DE.UTF-8", "LC_ALL": "C"}, False),
        ({"LANG": "C", "LC_CTYPE": "en_US.UTF-8"}, True),
        ({"LANG": "de_DE@euro", "LC_ALL": ""}, False),
    ],
)
def test_the_locale(environ: dict[str, str], unicode: bool) -> None:
    assert utf8(environ) is unicode


@pytest.mark.parametrize(("lang", "shown"), [({"LANG": "C"}, b"->"), ({"LANG": ""}, b"->"), ({"LANG": "C.UTF-8"}, "→".encode())])
def test_the_locale_that_was_given_counts_not_the_one_that_python_sets(cli: Cli, lang: dict[str, str], shown: bytes) -> None:
    code = "from cronflow.cli.invocation import Options, find_invocation; find_invocation(Options(), []).out('→')"
    env = {key: value for key, value in {**cli.env, **lang}.items() if value}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, timeout=60, check=True)
    assert done.stdout == shown + b"\n"


def test_signs_become_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    invocation = Invocation(find_places("jobs.toml", "/tmp"), terminal=Terminal(unicode=False))
    invocation.out("✓ ✗ ▶ ‖ a → b … ├─ └─ │ × ·")
    assert capsys.readouterr().out == "+ x > = a -> b ... |- `- | x -\n"


def on_terminal(cli: Cli, *words: str, columns: int = 70, **env: str) -> str:
    """What a terminal of that width shows of a command."""
    here, there = pty.openpty()
    os.set_blocking(here, True)
    env = {**cli.env, "COLUMNS": str(columns), "TERM": "xterm", **env}
    process = subprocess.Popen(cli.command(*words), env=env, stdin=there, stdout=there, stderr=there)
    os.close(there)
    shown = b""
    while True:
        try:
            piece = os.read(here, 65536)
        except OSError:  # EIO: the other end is closed
            break
        if not piece:
            break
        shown += piece
    process.wait(60)
    os.close(here)
    return shown.decode()


def test_colour_is_for_terminals_that_want_it(cli: Cli) -> None:
    assert "\x1b[" in on_terminal(cli, "pause", "x")
    assert "\x1b[" not in on_terminal(cli, "pause", "x", "--no-color")
    assert "\x1b[" not in on_terminal(cli, "--no-color", "pause", "x")
    assert "\x1b[" not in on_terminal(cli, "pause", "x", NO_COLOR="1")
    assert "\x1b[" not in on_terminal(cli, "pause", "x", TERM="dumb")
    assert "\x1b[" in on_terminal(cli, "pause", "x", NO_COLOR="")
    assert "\x1b[" not in cli("pause", "x").err


def test_json_is_for_eyes_on_a_terminal_and_one_line_in_a_pipe(cli: Cli) -> None:
    assert on_terminal(cli, "alerts", "list", "--json").splitlines()[0] == "{"
    assert cli("alerts", "list", "--json").out == '{"schema": 1, "alerts": []}\n'


def test_names_that_no_encoding_can_say_do_not_end_a_command(cli: Cli) -> None:
    cli.file.write_text('[jobs.a]\ncommand = "true"\ntimeout = "1h"\nenv = { NAME = "Müller" }\n')
    answer = cli("env", "a", PYTHONIOENCODING="ascii")
    assert answer.status == 0
    assert "NAME='M\\xfcller'" in answer.out
    assert "M\\u00fcller" in cli("env", "a", "--json", PYTHONIOENCODING="ascii").out


def test_a_cut_line_is_no_longer_in_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal(width=20, unicode=False)
    Invocation(find_places(environ={"HOME": "/x"}), terminal=terminal).out("a line that is cut …\nshort → …")
    assert capsys.readouterr().out == "a line that is cu...\nshort -> ...\n"
