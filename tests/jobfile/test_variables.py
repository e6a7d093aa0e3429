"""What a job gives its command, its copies and the steps beside it: params, secrets, matrix; commands, limits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cronflow.core.jobs import Job, definition, jobs_from_definition
from cronflow.errors import JobFileError, Problem
from cronflow.jobfile.render import render
from tests.jobfile.conftest import ReadText
from tests.problems import check


@pytest.fixture(name="job")
def job_(read_text: ReadText) -> Callable[[str], Job]:
    def job(body: str) -> Job:
        return read_text(f'[pools]\np = 4\n[calendars]\nc.dates = []\n[jobs.a]\ncommand = "a"\n{body}\n').jobs.jobs["a"]

    return job


def refused(read_text: ReadText, text: str) -> list[str]:
    with pytest.raises(JobFileError) as error:
        read_text(text)
    return [problem.message for problem in error.value.problems]


EVERYTHING = """
schedule = "@daily"
at = 2026-12-24T18:00:00Z
watch = "/srv/in/*"
settle = "5s"
jitter = "5m"
skip_on = "c"
only_on = ["c"]
after_timeout = "1h"
only_if = "test -e x"
wait_until = ["test", "-e", "x"]
wait_every = "1m"
wait_timeout = "2h"
approve = "really?"
params = { REGION = "eu", EMPTY = "" }
secrets = { A = "file:/run/a", B = "env:B_1", C = "credential:c", D = "command:pass show d" }
matrix = { WORD = ["x", "a b"], NUMBER = [1, -2] }
matrix_join = "each"
pool = "p"
pool_slots = 3
priority = -5
deadline = "06:00"
slow = 2
check = ["one", "two"]
on_failure = "logger no"
on_success = ["logger", "yes"]
"""


def test_everything_further_that_a_job_can_say(job: Callable[[str], Job]) -> None:
    one = job(EVERYTHING)
    assert (one.jitter, one.skip_on, one.only_on, one.after_timeout) == (300.0, ("c",), ("c",), 3600.0)
    assert (one.only_if, one.wait_until, one.wait_every, one.wait_timeout) == (
        "test -e x",
        ("test", "-e", "x"),
        60.0,
        7200.0,
    )
    assert (one.approve, one.params) == ("really?", {"REGION": "eu", "EMPTY": ""})
    assert one.secrets == {"A": "file:/run/a", "B": "env:B_1", "C": "credential:c", "D": "command:pass show d"}
    assert (one.matrix, one.matrix_join) == ({"WORD": ("x", "a b"), "NUMBER": ("1", "-2")}, "each")
    assert (one.pool, one.pool_slots, one.priority) == ("p", 3, -5)
    assert (one.deadline, one.slow, one.check) == (("time", 21600.0), ("factor", 2.0), ("one", "two"))
    assert (one.on_failure, one.on_success) == ("logger no", ("logger", "yes"))
    assert jobs_from_definition(definition({"a": one})[1]) == {"a": one}


@pytest.mark.parametrize(("text", "meant"), [("true", ""), ("false", None), ('"now?"', "now?")])
def test_approval(job: Callable[[str], Job], text: str, meant: str | None) -> None:
    assert job(f"approve = {text}").approve == meant


def test_an_approval_of_defaults_can_be_taken_back(read_text: ReadText) -> None:
    text = '[defaults]\napprove = "?"\n[jobs]\na = { command = "a" }\nb = { command = "b", approve = false }'
    assert [job.approve for job in read_text(text).jobs.jobs.values()] == ["?", None]


def test_one_check_is_a_list_of_one(job: Callable[[str], Job]) -> None:
    assert job('check = "./verify.sh --all"').check == ("./verify.sh --all",)


def test_tables_of_variables_are_merged_and_a_matrix_is_not(read_text: ReadText, tmp_path: Path) -> None:
    text = """
    [defaults]
    params = { A = "1", B = "1" }
    secrets = { S = "file:s", T = "env:T" }
    matrix = { M = ["1"] }
    [jobs.a]
    command = "a"
    params = { B = "2" }
    secrets = { T = "file:~/t" }
    matrix = { N = ["2"] }
    """
    job = read_text(text).jobs.jobs["a"]
    assert job.params == {"A": "1", "B": "2"}
    assert job.secrets == {"S": f"file:{tmp_path}/s", "T": "file:~/t"}
    assert job.matrix == {"N": ("2",)}


def test_a_secret_of_an_included_file_lies_beside_it(read_text: ReadText, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/a.toml").write_text('jobs.a = { command = "a", secrets = { S = "file:s" } }')
    (tmp_path / "d/a.toml").chmod(0o644)
    assert read_text('include = ["d/*"]').jobs.jobs["a"].secrets == {"S": f"file:{tmp_path}/d/s"}


def test_a_thousand_copies_and_not_one_more(read_text: ReadText) -> None:
    many = f"[{', '.join(map(str, range(500)))}]"
    assert len(read_text(f'jobs.a = {{ command = "a", matrix = {{ A = {many}, B = ["x", "y"] }} }}').jobs.jobs["a"].matrix) == 2
    told = refused(read_text, f'jobs.a = {{ command = "a", matrix = {{ A = {many}, B = [1, 2, 3] }} }}')
    assert told == ["`matrix` has 1,500 combinations, and at most 1,000 are possible"]


@pytest.mark.parametrize(
    ("choices", "clash"),
    [
        ('["2", "ä"]', True),
        ('["ä", "1"]', True),
        ('["", "1"]', True),
        (f'["{"x" * 33}", 1]', True),
        (f'["{"x" * 32}", 1]', False),
        ('["ä", "2"]', False),
        ('["ä", "ö", "a,b"]', False),
        ('["1", "2"]', False),
        ('["a b", "2", "3"]', False),
        ('["3", "2", "a\\nb"]', True),
    ],
)
def test_two_tasks_never_have_one_name(read_text: ReadText, choices: str, clash: bool) -> None:
    text = f'jobs.a = {{ command = "a", matrix = {{ A = {choices} }} }}'
    if clash:
        assert "would both be named" in refused(read_text, text)[0]
    else:
        read_text(text)


@pytest.mark.parametrize("key", ["params", "matrix"])
@pytest.mark.parametrize("name", ["PATH", "HOME", "CRONFLOW_X", "1A", "a-b"])
def test_names_that_are_taken_or_none(read_text: ReadText, key: str, name: str) -> None:
    value = '"x"' if key == "params" else '["x"]'
    (told,) = refused(read_text, f'jobs.a = {{ command = "a", {key} = {{ {name} = {value} }} }}')
    assert told.startswith(f"`{name}` in `{key}` ")


def test_a_clash_with_defaults_is_told_once_and_at_its_place(read_text: ReadText) -> None:
    text = '[defaults]\nenv = { A = "1" }\nparams = { A = "2" }\n[jobs]\na = { command = "a" }\nb = { command = "b" }'
    assert refused(read_text, text) == ["`A` is set in `env` and in `params`"]


GRAPH = """
[jobs]
a-b = { command = "a" }
"a.b" = { command = "b" }
"""


def test_outputs_of_jobs_that_none_comes_after_together_may_have_one_name(read_text: ReadText) -> None:
    read_text(GRAPH + 'c = { command = "c", after = ["a-b"] }\nd = { command = "d", after = ["a.b"] }')


@pytest.mark.parametrize(
    "further",
    [
        'm = { command = "m", after = ["a.b", "a-b"] }',
        'c = { command = "c", after = ["a-b"] }\nm = { command = "m", after = { c = "done", "a.b" = "done" } }',
        'c = { command = "c", after = ["a-b"] }\nd = { command = "d", after = ["a.b"] }\n'
        'm = { command = "m", after = ["c", "d"] }',
        'm = { command = "m", after = ["A_B"] }\nA_B = { command = "c", after = ["a-b"] }',
    ],
)
def test_outputs_that_would_have_one_name_are_told_where_they_first_meet(read_text: ReadText, further: str) -> None:
    (told,) = refused(read_text, f'{GRAPH}{further}\nlast = {{ command = "l", after = ["m"] }}')
    assert told.endswith("would both reach job `m` as `CRONFLOW_OUTPUT_A_B__…`")


def test_a_pool_that_was_refused_is_not_missing_too(read_text: ReadText) -> None:
    text = '[pools]\np = 0\n[jobs.a]\ncommand = "a"\npool = "p"\npool_slots = 10000'
    assert refused(read_text, text) == ["`p = 0` is out of range"]


def test_slots_of_defaults_are_held_against_the_pool_of_each_job(read_text: ReadText) -> None:
    text = '[pools]\np = 2\nq = 5\n[defaults]\npool_slots = 3\n[jobs]\na = { command = "a", pool = "p" }\n'
    (told,) = refused(read_text, text + 'b = { command = "b", pool = "q" }')
    assert told == "job `a` takes 3 slots of pool `p`, which has 2 slots"


SECRET = "S3cr3tToken"
LEAKS = [
    f'[jobs.a]\nsecrets = {{ A = "{SECRET}" }}',
    f"[jobs.a]\nsecrets.A = '{SECRET}'",
    f'[jobs.a.secrets]\nA = "{SECRET}://x"',
    f'[jobs.a]\nsecrets = {{ A = """\n{SECRET}""" }}',
    f'[jobs.a]\nsecrets = {{ A = """{SECRET}\n{SECRET}""", B = 5 }}',
    f'[jobs.a]\nsecrets = "{SECRET}"',
    f'[jobs.a]\nsecrets = ["{SECRET}"]',
    f'[jobs.a]\nsecrets = {{ A = ["{SECRET}", {{ x = "{SECRET}" }}] }}',
    f'[jobs.a]\nsecret = {{ A = "{SECRET}" }}',
    f'[defaults]\nsecrets = {{ A = "{SECRET}" }}\n[jobs.a]\ncommand = "a"\nenv = {{ A = "1" }}',
    f'secrets = {{ A = "{SECRET}" }}',
    f'[secrets]\nA = "{SECRET}"',
    f'[settings]\nsecrets.A = "{SECRET}"',
    f'jobs.a = {{ command = 5, secrets = {{ A = "{SECRET}" }} }}',
    f'jobs.a = {{ command = "a", params = {{ A = "1" }}, secrets = {{ A = "env:{SECRET}" }} }}',
    f'jobs.a = {{ secrets = {{ A = "command:{SECRET} | x" }} }}',
    f'[jobs.a]\nsecrets = {{ A = "{SECRET}',
    f"[jobs.a]\nsecrets = {{ A = {SECRET} }}",
    f'[jobs.a.secrets]\nA = "{SECRET}',
    f"[jobs.a.secrets]\nA = {SECRET}",
    f'[jobs.a.secrets]\nA = "\\q{SECRET}"',
    f'[jobs.a.secrets]\nA = "{SECRET}"\nA = "{SECRET}"',
    f'[jobs.a]\nsecrets = {{ A = "{SECRET}", A = "{SECRET}" }}',
]


@pytest.mark.parametrize("text", LEAKS)
def test_no_secret_is_ever_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "jobs.toml"
    path.write_text(text + "\n")
    path.chmod(0o644)
    problems: list[Problem] = check(str(path))
    assert any(problem.severity == "error" for problem in problems)
    told = [*map(repr, problems), *(render(problem, color=False) for problem in problems)]
    assert [one for one in told if SECRET in one] == []
