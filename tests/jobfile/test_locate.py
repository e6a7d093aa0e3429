"""The locator against tomllib: it knows every path of any document, and what stands there is what tomllib read."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from cronflow.jobfile.locate import Locator, Path


def paths(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key), inner
        yield from paths(inner, (*path, key))


def agrees(text: str) -> None:
    """Every path is known; a key's place holds that key, a plain value's place holds that value."""
    found = Locator(text)
    for path, value in paths(tomllib.loads(text)):
        assert path in found.places, path
        place = found.places[path]
        key, written = text[slice(*place.key)], text[slice(*place.value)]
        if isinstance(path[-1], str):
            assert tomllib.loads(f"{key} = 0") == {path[-1]: 0}
        table_header = isinstance(value, dict) or written.startswith("[[")
        if not table_header:
            assert tomllib.loads(f"x = {written}") == {"x": value}
    assert not found.repeats


TEXT = """\
# a comment with "quotes' and [brackets]
top = 1 # and one = behind
"quoted key" = 'x # y'
'lit' = "a\\"b#c"
dotted . "in side".deep = [ 1, [2, 3], # comment ]
  { a = 1, b.c = "}" }, ]
empty = []
none = {}
when = 1979-05-27 07:32:00Z # date with a blank
real = 1_000.5e+3
[jobs.load]
command = '''
set -eu
key = "no key"
[no.header]'''
stdin = \"\"\"a\\
  "" \\\"\"\" b\"\"\"\"\"
env = { A = "1", "B.C" = "2" }
  [ jobs . "x.y" ]  # spaces
after = ["load",
  "extract"
]
[[list]]
a = 1
[list.sub]
b = 2
[[list.inner]]
c = 3
[[list]]
a = 4
[[list.inner]]
c = 5
[[list.inner]]
c = 6
[jobs]
plain.command = "true"
"""


def test_all_forms() -> None:
    agrees(TEXT)


def test_dos_line_ends() -> None:
    text = 'a = 1\r\n[b]\r\nc = ["x",\r\n  "y"]\r\nd = 2\r\n'
    agrees(text)
    found = Locator(text)
    assert found.line_column(found.places["b", "c", 1].key[0]) == (4, 3)
    assert found.line_text(4) == '  "y"]'


def test_line_and_column_count_characters() -> None:
    found = Locator('a = "ä日"\n\tb = 1\n')
    assert found.line_column(found.places[("b",)].key[0]) == (2, 2)
    assert found.line_column(found.places[("b",)].value[0]) == (2, 6)


def test_other_line_ends_are_none() -> None:
    found = Locator("a = '\u2028\x85'\nb = 1\n")
    assert found.line_column(found.places[("b",)].key[0]) == (2, 1)


def test_a_second_definition_is_remembered() -> None:
    found = Locator('[jobs.a]\ncommand = "x"\n[jobs.b]\n[jobs.a]\ncommand = "y"\n')
    assert [path for path, _ in found.repeats] == [("jobs", "a"), ("jobs", "a", "command")]
    assert found.line_column(found.places["jobs", "a"].key[0]) == (1, 7)
    assert found.line_column(found.repeats[0][1].key[0]) == (4, 7)


def test_deep_nesting_goes_as_deep_as_tomllib() -> None:
    deep = 200
    text = f"x = {'[' * deep}{']' * deep}\n"
    agrees(text)


scalars = st.one_of(
    st.text(st.characters(blacklist_categories=("Cs",)), max_size=12),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.booleans(),
    st.datetimes(),
    st.dates(),
    st.times(),
)
names = st.text(st.characters(blacklist_categories=("Cs",)), max_size=8)
values = st.recursive(
    scalars, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(names, inner, max_size=4)), max_leaves=12
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(names, values, max_size=5), st.booleans())
def test_any_document(document: dict[str, Any], multiline: bool) -> None:
    agrees(tomli_w.dumps(document, multiline_strings=multiline))
