"""The problems found while reading, each at its place, in the order of the files and lines."""

from __future__ import annotations

from typing import Literal

from cronflow.errors import Problem, Span
from cronflow.jobfile.locate import Path
from cronflow.jobfile.source import Part, Source

Severity = Literal["error", "warning"]


class Report:
    """Collects problems. Nothing is raised while a file is read, so that all of them are reported at once."""

    def __init__(self) -> None:
        self._problems: dict[Problem, None] = {}
        self._files: dict[str, int] = {}

    def begin(self, file: str) -> None:
        """Put the problems of this file after those of files begun earlier."""
        self._files.setdefault(file, len(self._files))

    def error(self, source: Source, path: Path, message: str, hint: str | None, part: Part = "value") -> None:
        """Report an error at a key or a value of a file."""
        self.add("error", message, hint, source.span(path, part))

    def warning(self, source: Source, path: Path, message: str, hint: str | None, part: Part = "value") -> None:
        """Report a warning at a key or a value of a file."""
        self.add("warning", message, hint, source.span(path, part))

    def add(self, severity: Severity, message: str, hint: str | None = None, span: Span | None = None) -> None:
        """Report a problem whose place is known, or one of a file as a whole. The same problem is reported once."""
        self._problems.setdefault(Problem(severity, message, hint, span))

    @property
    def failed(self) -> bool:
        """Whether there is an error among the problems."""
        return any(problem.severity == "error" for problem in self._problems)

    @property
    def problems(self) -> list[Problem]:
        """All problems: those of whole files first, then in the order of files, lines and columns."""
        return sorted(self._problems, key=self._order)

    def _order(self, problem: Problem) -> tuple[int, int, int]:
        span = problem.span
        if span is None:
            return (-1, 0, 0)
        return (self._files.get(span.file, len(self._files)), span.line, span.column)
