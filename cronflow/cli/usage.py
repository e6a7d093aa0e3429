"""What is wrong with a command line, in our words: the parser knows the kind, the flag and the value; its own sentences are
for programmers."""

from __future__ import annotations

import re
from typing import Any

from cronflow.core.words import closest
from cronflow.errors import CronflowError, Exit


def usage_error(error: Any) -> CronflowError:
    """A click exception as the message, hint and exit status 2 of our own. It is known by its attributes: newer releases
    of typer carry click inside and older ones use the one installed, so there is no one class to name."""
    return CronflowError(_message(error), _hint(error), Exit.USAGE)


def _message(error: Any) -> str:
    kind = type(error).__name__
    if kind == "NoSuchOption":
        return f"there is no option `{error.option_name}`" + _of(error)
    if kind == "MissingParameter":
        return f"`{_path(error)}` needs {_subject(error)}"
    if kind == "BadParameter":
        return _bad_value(_subject(error), str(error.message))
    if kind == "BadOptionUsage":
        name = f"`{error.option_name}`"
        return f"{name} takes no value" if "not take" in error.message else f"{name} is given without a value"
    extra = re.match(r"Got unexpected extra argument(?:s|\(s\))? \((.*)\)", str(error.message))
    if extra:
        return f"`{extra.group(1)}` is more than can be taken here" + _of(error)
    text = str(error.message).rstrip(".")
    return text[:1].lower() + text[1:]


def _bad_value(subject: str, message: str) -> str:
    number = re.match(r"'(.*)' is not a valid (integer|float|int)", message, re.DOTALL)
    if number:
        return f"{subject} is a number, not `{number.group(1)}`"
    choice = re.match(r"'(.*)' is not one of (.*?)\.?$", message, re.DOTALL)
    if choice:
        words = ", ".join(f"`{word.strip(chr(39) + ' ')}`" for word in choice.group(2).split(","))
        return f"{subject} is one of {words}, not `{choice.group(1)}`"
    bounds = re.match(r"(-?\d+) is not in the range (?:x>=(\d+)|(\d+)<=x<=(\d+))", message)
    if bounds:
        given, least, low, high = bounds.groups()
        return f"{subject} is {least} or more, not {given}" if least else f"{subject} is from {low} to {high}, not {given}"
    return f"{subject}: {message[:1].lower()}{message[1:].rstrip('.')}"


def _subject(error: Any) -> str:
    parameter = getattr(error, "param", None)
    if parameter is None:
        return "a value"
    if parameter.param_type_name == "argument":
        return f"`{(parameter.metavar or (parameter.name or '').upper()).rstrip('.…')}`"
    return f"`{max(parameter.opts, key=len)}`"


def _path(error: Any) -> str:
    context = getattr(error, "ctx", None)
    return context.command_path if context is not None else "cronflow"


def _of(error: Any) -> str:
    return f" of `{_path(error)}`" if " " in _path(error) else ""


def _hint(error: Any) -> str:
    possible = list(getattr(error, "possibilities", None) or ())
    if possible:
        return f"did you mean `{closest(error.option_name, possible, 0.0)}`?"
    return f"`{_path(error)} --help`"
