"""What tasks hand on: lines of an output file, items, names in the environment of those after."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cronflow.core.jobs import Edge, Job
from cronflow.core.records import Run, Task
from cronflow.core.run.outputs import ItemsError, env_name, fitting, handed_down, read_items, read_outputs


@pytest.mark.parametrize(
    ("data", "pairs"),
    [
        (b"", ()),
        (b"rows=5", (("rows", "5"),)),
        (b"rows=5\nfile=/a b\n", (("rows", "5"), ("file", "/a b"))),
        (b"rows=5\r\n\n  \n", (("rows", "5"),)),
        (b"a=1\nb=2\na=3\n", (("a", "3"), ("b", "2"))),
        (b"a==x=", (("a", "=x="),)),
        (b"a=", (("a", ""),)),
        (b"a= x ", (("a", " x "),)),
        ("größe.kb-1=1".encode(), ()),
        (b"kb.a-1=\xc3\xbc", (("kb.a-1", "ü"),)),
    ],
)
def test_lines_of_an_output_file(data: bytes, pairs: tuple[tuple[str, str], ...]) -> None:
    assert read_outputs(data).pairs == pairs


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b"no pair", 'is no `key=value`: "no pair"'),
        (b" a=1", 'is no `key=value`: " a=1"'),
        (b"1a=1", 'is no `key=value`: "1a=1"'),
        (b"=1", 'is no `key=value`: "=1"'),
        (b"a=\xff", 'is no UTF-8: "a=\ufffd"'),
        (b"a=x\0y", 'has a NUL character: "a=xy"'),
        (b"\x1b[31m" + b"x" * 100, f'is no `key=value`: "{"x" * 59}…"'),
        (b"a=" + b"x" * 100_001, f'has a value of more than 100 kB: "a={"x" * 57}…"'),
    ],
)
def test_a_line_that_is_not_taken_is_named(line: bytes, fault: str) -> None:
    found = read_outputs(b"ok=1\n\n" + line + b"\nlast=2")
    assert found.pairs == (("ok", "1"), ("last", "2"))
    assert found.faults == (f"output line 3 {fault}",)


def test_a_value_may_have_its_whole_length() -> None:
    assert read_outputs(b"a=" + b"x" * 100_000).faults == ()


def test_too_many_keys() -> None:
    found = read_outputs(b"".join(b"k%d=1\n" % n for n in range(1002)) + b"k5=new\n")
    assert len(found.pairs) == 1000
    assert dict(found.pairs)["k5"] == "new"
    assert found.faults[0] == 'output line 1001 is beyond the 1,000 keys that a task may have: "k1000=1"'
    assert len(found.faults) == 2


def test_too_large_a_file_and_too_many_faults() -> None:
    found = read_outputs((b"k=1\n" + b"x" * 99_996 + b"\n") * 10)
    assert (found.pairs, len(found.faults)) == ((("k", "1"),), 11)
    assert found.faults[0] == "the output file is larger than 1 MB: line 21 and all after it are left out"
    found = read_outputs(b"x\n" * 50)
    assert len(found.faults) == 21
    assert found.faults[-1] == "30 more lines of the output file were not taken"


@given(st.binary(max_size=200))
def test_any_bytes_are_read(data: bytes) -> None:
    found = read_outputs(data)
    assert all("\0" not in value and "\n" not in value for _, value in found.pairs)
    lines = sum(bool(line.removesuffix(b"\r").strip()) for line in data.split(b"\n"))
    assert len(found.pairs) + len(found.faults) <= lines
    assert (lines == 0) == (not found.pairs and not found.faults)


def test_items() -> None:
    assert read_items(b"").items == ()
    assert read_items(b"a\n\n b c \r\n  \nd").items == ("a", " b c ", "d")
    found = read_items(b"a\nb\na\na\n")
    assert found.items == ("a", "b")
    assert found.faults == ("2 items printed by `foreach` were there already: each is run once",)
    assert len(read_items(b"".join(b"%d\n" % n for n in range(1000))).items) == 1000


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"x\n" * 500_001, "`foreach` printed more than 1 MB"),
        (b"".join(b"%d\n" % n for n in range(1001)), "`foreach` printed more than 1,000 items"),
        (b"a\n" + b"x" * 4097, "line 2 of what `foreach` printed is longer than 4096 bytes"),
        (b"a\n\n\xff", "line 3 of what `foreach` printed is no UTF-8"),
        (b"a\0b", "line 1 of what `foreach` printed has a NUL character"),
    ],
)
def test_what_is_no_list_of_items(data: bytes, message: str) -> None:
    with pytest.raises(ItemsError, match=message):
        read_items(data)


def test_names_of_variables() -> None:
    assert [env_name(name) for name in ("load", "load-eu.1", "load[eu,1]")] == ["LOAD", "LOAD_EU_1", "LOAD_EU_1"]


def job(name: str, *after: str, **keys: object) -> Job:
    return Job(name, "true", after=tuple(Edge(upstream) for upstream in after), **keys)  # type: ignore[arg-type]


def run_of(*tasks: Task) -> Run:
    return Run(1, "a", "manual", 0.0, tasks={task.name: task for task in tasks})


def test_outputs_reach_all_tasks_after() -> None:
    jobs = {one.name: one for one in (job("a"), job("b", "a"), job("c", "b", "elsewhere"), job("d"))}
    tasks = [Task(1, name, name, outputs={"rows": name, "file.name": "x"}) for name in jobs]
    run = run_of(*tasks)
    assert handed_down(jobs, run, run.tasks["a"], jobs) == {}
    assert handed_down(jobs, run, run.tasks["c"], jobs) == {
        "CRONFLOW_OUTPUT_A__ROWS": "a",
        "CRONFLOW_OUTPUT_A__FILE_NAME": "x",
        "CRONFLOW_OUTPUT_B__ROWS": "b",
        "CRONFLOW_OUTPUT_B__FILE_NAME": "x",
    }
    del run.tasks["b"]
    assert set(handed_down(jobs, run, run.tasks["c"], jobs)) == {"CRONFLOW_OUTPUT_A__ROWS", "CRONFLOW_OUTPUT_A__FILE_NAME"}


def test_outputs_of_copies() -> None:
    matrix = {"REGION": ("eu", "us")}
    copies = [Task(1, f"load[{one}]", "load", matrix={"REGION": one}, outputs={"rows": one}) for one in ("eu", "us")]
    each = Task(1, "sum[eu]", "sum", matrix={"REGION": "eu"})
    single = Task(1, "report", "report")
    run = run_of(*copies, each, single)
    jobs = {
        "load": job("load", matrix=matrix),
        "sum": job("sum", "load", matrix=matrix, matrix_join="each"),
        "report": job("report", "load"),
    }
    both = {"CRONFLOW_OUTPUT_LOAD_EU__ROWS": "eu", "CRONFLOW_OUTPUT_LOAD_US__ROWS": "us"}
    assert handed_down(jobs, run, each, jobs) == {"CRONFLOW_OUTPUT_LOAD__ROWS": "eu"}
    assert handed_down(jobs, run, single, jobs) == both
    jobs["sum"] = jobs["sum"]._replace(matrix_join="all")
    assert handed_down(jobs, run, each, jobs) == both


def test_what_does_not_fit_is_left_out() -> None:
    kept, left_out = fitting({"A": "x" * 600_000, "B": "x" * 600_000, "C": "x"})
    assert list(kept) == ["A", "C"]
    assert left_out == ("B",)
