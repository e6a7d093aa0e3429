"""What somebody may have meant by a word that is not known."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from cronflow.core import words


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word nearest to this one, or None where nothing is near."""
    return _closest(word.lower(), tuple(known))


@lru_cache(maxsize=1024)
def _closest(word: str, known: tuple[str, ...]) -> str | None:
    lower = {name.lower(): name for name in reversed(known)}
    plurals = (word + "s", word.removesuffix("y") + "ies")
    found = next((form for form in (word, *plurals) if form in lower), None) or words.closest(word, lower)
    return lower[found] if found is not None else None


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """A hint that names the nearest known word; None where nothing is near."""
    near = closest(word, known)
    return None if near is None else f"did you mean `{near}`?"
