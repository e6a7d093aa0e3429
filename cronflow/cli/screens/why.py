"""The answer of `cronflow why`: a sentence, then its evidence line by line, with what to type beside it."""

from __future__ import annotations

from cronflow.cli.screens.style import Style
from cronflow.facts.evidence import Answer


def why_screen(answer: Answer, style: Style) -> str:
    """The sentence and the evidence."""
    lines = [style.wrapped(answer.sentence, 0)]
    for one in answer.because:
        command = [style.paint("dim", one.command)] if one.command else []
        lines.append(style.fold("  · ", [style.wrapped(one.message, 4), *command], 6))
    return "\n".join(lines)
