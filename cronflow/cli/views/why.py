"""The answer of `cronflow why`: a sentence, then its evidence line by line, with what to type beside it."""

from __future__ import annotations

from cronflow.cli.evidence import Answer
from cronflow.cli.views.style import Style


def why_screen(answer: Answer, style: Style) -> str:
    """The sentence and the evidence."""
    lines = [_wrapped(answer.sentence, style, 0)]
    for one in answer.because:
        command = [style.paint("dim", one.command)] if one.command else []
        lines.append(style.fold("  · ", [_wrapped(one.message, style, 4), *command], 6))
    return "\n".join(lines)


def _wrapped(text: str, style: Style, indent: int) -> str:
    """A sentence in lines of the terminal's width; in a pipe one line."""
    if style.width is None or len(text) + indent <= style.width:
        return text
    import textwrap

    lines = textwrap.wrap(text, max(style.width - indent, 20), break_on_hyphens=False)
    return ("\n" + " " * indent).join(lines)
