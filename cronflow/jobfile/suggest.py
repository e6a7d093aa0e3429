"""What somebody may have meant by a word that is not known."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word nearest to this one, or None where nothing is near."""
    return _closest(word.lower(), tuple(known))


@lru_cache(maxsize=1024)
def _closest(word: str, known: tuple[str, ...]) -> str | None:
    import difflib

    lower = {name.lower(): name for name in reversed(known)}
    plurals = (word + "s", word.removesuffix("y") + "ies")
    found = [form for form in (word, *plurals) if form in lower] or difflib.get_close_matches(word, lower, 1, 0.6)
    return lower[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """A hint that names the nearest known word; None where nothing is near."""
    near = closest(word, known)
    return None if near is None else f"did you mean `{near}`?"
