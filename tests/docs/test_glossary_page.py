"""The glossary gives each word one meaning, and has the words that the program prints for how things stand and end."""

from __future__ import annotations

import re
from collections import Counter
from typing import get_args

from cronflow.core.jobs import ALERT_KINDS, CONDITIONS
from cronflow.core.records import Result, TaskState
from tests.docs.pages import ROOT

TEXT = (ROOT / "docs" / "glossary.md").read_text()


def test_a_word_has_one_entry() -> None:
    cells = re.findall(r"^\| ([^|]+) \| [^|]+ \|$", TEXT, re.MULTILINE)
    words = Counter(word for cell in cells if cell not in ("word", "---") for word in cell.split(", "))
    assert len(words) > 60
    assert [word for word, entries in words.items() if entries > 1] == []


def test_the_words_for_states_results_conditions_and_alerts_are_there() -> None:
    printed = {*get_args(TaskState), *get_args(Result), *CONDITIONS, *ALERT_KINDS}
    assert {word for word in printed if f"`{word}`" not in TEXT} == set()
