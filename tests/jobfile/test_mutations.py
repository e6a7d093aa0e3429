"""Whatever is done to a job file, it is read or refused: never a traceback, every problem drawable, every error with a place."""

from __future__ import annotations

import copy
import os
import tempfile
from pathlib import Path
from typing import Any

import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cronflow.errors import JobFileError
from cronflow.jobfile import keys
from cronflow.jobfile.read import read
from cronflow.jobfile.render import render

GOOD = """\
timezone = "Europe/Berlin"
include = ["no/such/*.toml"]

[defaults]
timeout = "1h"
env = { LANG = "C" }

[settings]
max_running = 8
keep_runs = "90d"

[alerts.ops]
url_env = "OPS_URL"
on = ["failure"]

[pools]
warehouse = 2

[calendars.holidays]
dates = [2026-12-25, 2026-12-26]

[jobs.extract]
jitter = "5m"
skip_on = "holidays"
secrets = { PASSWORD = "file:/run/secrets/db" }
params = { REGION = "eu" }
matrix = { PART = ["1", "2"], SIZE = [10, 20] }
schedule = ["0 4 * * mon-fri", "@daily"]
command = './extract.sh --date "$CRONFLOW_DATE"'
alert = ["ops"]

[jobs.load]
after = ["extract"]
command = '''
set -eu
psql -f load.sql | tail
'''
retry_on = [1, "timeout"]

[jobs.report]
after = { load = "success", extract = "done" }
command = ["mail", "-s", "report"]
umask = 0o27
check = ["true"]
deadline = "06:00"
slow = 2.5
pool = "warehouse"
approve = "send?"

[jobs.once]
at = [2026-12-24T18:00:00, 2027-01-01T00:00:00Z]
watch = "in/*.csv"
foreach = "ls"
command = "true"

[x-mine]
anything = [1, { two = 2 }]
"""
PIECES = st.sampled_from(
    [
        "\n",
        '"',
        "'",
        "'''",
        "[",
        "]",
        "{",
        "}",
        "=",
        "#",
        ",",
        ".",
        "\\",
        "\0",
        "\t",
        "é",
        "\u2028",
        "[jobs.load]",
        "5",
        "true",
        " ",
    ]
)


def drawn(raw: bytes) -> list[str]:
    """Every problem of a job file, drawn; checks what holds for all of them."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "jobs.toml")
        Path(path).write_bytes(raw)
        try:
            problems = read(path, thorough=False).problems
        except JobFileError as error:
            problems = error.problems
            assert any(problem.severity == "error" for problem in problems)
    lines = raw.count(b"\n") + 1
    for problem in problems:
        assert problem.hint, problem
        assert problem.span is not None, problem
        assert 1 <= problem.span.line <= lines
        assert 1 <= problem.span.column <= len(problem.span.text) + 1
        assert problem.span.length >= 1
        assert "\n" not in problem.span.text
    texts = [render(problem, color=False) for problem in problems]
    assert all(sign == "\n" or sign.isprintable() for text in texts for sign in text)
    return texts


def test_the_good_one_is_good() -> None:
    assert [text for text in drawn(GOOD.encode()) if text.startswith("error")] == []


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(0, len(GOOD)), st.integers(0, 12), PIECES | st.just("")), min_size=1, max_size=3))
def test_a_text_with_pieces_replaced(edits: list[tuple[int, int, str]]) -> None:
    text = GOOD
    for at, length, piece in edits:
        text = text[:at] + piece + text[at + length :]
    drawn(text.encode())


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60), st.integers(0, len(GOOD)))
def test_a_text_with_any_bytes_in_it(raw: bytes, at: int) -> None:
    drawn(GOOD[:at].encode() + raw + GOOD[at:].encode())


SCALARS = st.one_of(
    st.sampled_from(
        ["", "0 4 * * *", "@reboot", "10m", "10", "ops", "load", "success", "UTC", "027", "\0", "a" * 300, "~x", "/"]
    ),
    st.integers(-(2**40), 2**40),
    st.floats(),
    st.booleans(),
    st.dates(),
    st.times(),
    st.text(st.characters(blacklist_categories=("Cs",)), max_size=10),
)
NAMES = st.sampled_from(["load", "extract", "a.b", "", "1", "A", "CRONFLOW_X", "command"]) | st.text(
    st.characters(blacklist_categories=("Cs",)), max_size=6
)
VALUES = st.one_of(
    SCALARS, st.lists(SCALARS, max_size=3), st.dictionaries(NAMES, SCALARS, max_size=3), st.lists(st.lists(SCALARS))
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(st.sampled_from([*keys.JOB, *keys.LATER["jobs"]]) | NAMES, VALUES, max_size=6),
    st.dictionaries(st.sampled_from([*keys.TOP, *keys.TABLES, "pools", "x-a"]) | NAMES, VALUES, max_size=3),
    st.dictionaries(st.sampled_from([*keys.SETTINGS]) | NAMES, VALUES, max_size=3),
    st.dictionaries(st.sampled_from([*keys.ALERT]) | NAMES, VALUES, max_size=3),
    st.booleans(),
)
def test_a_document_with_any_values(
    job: dict[str, Any], top: dict[str, Any], settings_: dict[str, Any], alert: dict[str, Any], defaults: bool
) -> None:
    document: dict[str, Any] = {
        "settings": settings_,
        "alerts": {"ops": alert},
        "jobs": {"extract": {"command": "true"}, "load": job},
    }
    if defaults:
        document["defaults"] = copy.deepcopy(job)
    drawn(tomli_w.dumps({**document, **top}).encode())


def test_numbers_and_brackets_without_end() -> None:
    assert "this number is too long" in drawn(b"[jobs.a]\nretries = " + b"1" * 5000 + b"\n")[0]
    deep = drawn(b"[jobs.a]\nx = " + b"[" * 100_000 + b"]" * 100_000)[0]
    assert deep.startswith("error: brackets are nested too deeply here\n --> ")
    assert "jobs.toml:2:" in deep


def test_files_that_are_long_in_one_direction() -> None:
    """Nothing here takes time that grows with the square of the file: each of these would take minutes."""
    million = 1_000_000
    assert len(drawn(b"jobs.a.command = 5 #" + b"x" * million)) == 1
    assert len(drawn(b"jobs.a.command = '" + b"://" * million + b"'\njobs.a.x = 5")) == 2
    assert len(drawn(b"[jobs.a]\ncommand = " + b" " * million + b"x")) == 1
    assert len(drawn(b"[jobs.a]\ncommand = [" + b'"x", "y" ' * 100_000)) == 1
    assert len(drawn(b"jobs.a = 5\n" + b"".join(b"[[x-%d]]\n" % index for index in range(20_000)))) == 1
    assert len(drawn(b"jobs = {" + b",".join(b"a%d=5" % index for index in range(2_000)) + b"}")) == 2_000
