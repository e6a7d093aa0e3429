"""The tables of variables for a command: env, params, secrets and matrix; their names, values and limits.

Readers raise RefusalError, as those of `kinds` do.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from math import prod
from typing import Any, TypeVar

from cronflow.core.plan.copies import MOST_COPIES, label
from cronflow.jobfile import values
from cronflow.jobfile.kinds import Complain, ValueKind, each, type_name, wrong_type
from cronflow.jobfile.suggest import closest
from cronflow.jobfile.values import RefusalError

VARIABLE_PATTERN = "[A-Za-z_][A-Za-z0-9_]*"
VARIABLE = re.compile(VARIABLE_PATTERN)
RESERVED = ("PATH", "HOME")
"""Variables that a command cannot do without: only `env` may set them."""
ARGUMENT_LIMIT = 131072
"""Bytes of one argument, its final NUL included (execve(2), MAX_ARG_STRLEN)."""
SECRET_FORMS = ("file", "env", "credential", "command")
CREDENTIAL = re.compile(r"(?!\.{1,2}$)[!-.0-9;-~]{1,255}")
"""systemd.exec(5): a file name of ASCII characters, without a colon."""
HOW_SECRETS = '`"file:PATH"`, `"env:NAME"`, `"credential:NAME"` or `"command:…"` names where the value is'
T = TypeVar("T")
Element = Callable[[str, Any, Complain], T]


def variable(key: str, text: str) -> None:
    """Check the name of an environment variable."""
    if not VARIABLE.fullmatch(text):
        raise RefusalError(f"`{key}` is not a variable name", "write the name alone, without `$`: letters, digits and `_`")


def _table(key: str, table: Any, example: str, read: Element[T], complain: Complain) -> dict[str, T]:
    """Read each variable by `read(name, value, complain)`; refused ones are reported and left out. `params` and `matrix`
    may not set the variables by which programs find things."""
    if not isinstance(table, dict):
        raise wrong_type(key, table, "a table", example)
    found: dict[str, T] = {}
    for name, value in table.items():

        def inside(message: str, hint: str | None, *sub: str | int, part: str = "value", name: str = name) -> None:
            complain(message, hint, name, *sub, part=part)

        if not VARIABLE.fullmatch(name):
            hint = "names have letters, digits and `_`, and do not begin with a digit"
            inside(f"`{name}` in `{key}` is not a variable name", hint, part="key")
        elif name.startswith("CRONFLOW_"):
            inside(f"`{name}` in `{key}` is set by cronflow itself", "choose a name without `CRONFLOW_`", part="key")
        elif name in RESERVED and key in ("params", "matrix"):
            hint = "choose another name: programs are found by PATH, and look for files in HOME"
            inside(f"`{name}` in `{key}` can only be set by `env`", hint, part="key")
        else:
            try:
                found[name] = read(name, value, inside)
            except RefusalError as refusal:
                inside(refusal.message, refusal.hint)
    return found


def _value(key: str, name: str, text: object) -> str:
    if not isinstance(text, str):
        message = f"`{name}` in `{key}` is {type_name(text)}, where a string belongs"
        raise RefusalError(message, f'put it in quotes: `{name} = "…"`')
    if len(name) + len(text.encode()) > ARGUMENT_LIMIT - 2:
        raise RefusalError(f"`{name}` in `{key}` is longer than a variable can be (128 KiB)", "put it into a file")
    if "\0" in text:
        raise RefusalError(f"`{name}` in `{key}` contains a NUL character", "no variable can hold one: remove the `\\u0000`")
    return text


def env(key: str, table: Any, complain: Complain) -> dict[str, str]:
    """A table of variables for the command."""
    return _table(key, table, '{ LANG = "C" }', lambda name, text, _: _value(key, name, text), complain)


def params(key: str, table: Any, complain: Complain) -> dict[str, str]:
    """A table of variables with default values, which can be overridden for a run."""
    return _table(key, table, '{ REGION = "eu" }', lambda name, text, _: _value(key, name, text), complain)


def secrets(key: str, table: Any, complain: Complain) -> dict[str, str]:
    """A table of references. Anything else may be the secret itself: nothing of it is ever shown."""

    def reference(name: str, text: Any, _: Complain) -> str:
        form, colon, rest = _value(key, name, text).partition(":")
        if not colon or form not in SECRET_FORMS or rest.startswith("//"):
            near = closest(form, SECRET_FORMS) if colon and form.isalpha() and len(form) < 12 else None
            hint = f"did you mean `{near}:`?" if near else HOW_SECRETS
            raise RefusalError(f"`{name}` in `{key}` does not say where its value is", hint)
        if not rest.strip():
            raise RefusalError(f"`{name}` in `{key}` has nothing after `{form}:`", HOW_SECRETS)
        if form == "env" and not VARIABLE.fullmatch(rest):
            hint = "`env:NAME` names a variable of the daemon: letters, digits and `_`"
            raise RefusalError(f"`{name}` in `{key}` does not name a variable", hint)
        if form == "credential" and not CREDENTIAL.fullmatch(rest):
            hint = "`credential:NAME` names one that systemd passes to the daemon: `LoadCredential=NAME:PATH`"
            raise RefusalError(f"`{name}` in `{key}` names no credential", hint)
        if form == "file" and rest.startswith("~") and rest != "~" and not rest.startswith("~/"):
            raise RefusalError(f"`{name}` in `{key}` names the home of another user", "write the path, or `file:~/…`")
        return f"{form}:{rest}"

    return _table(key, table, '{ DB_PASSWORD = "file:/run/secrets/db" }', reference, complain)


def matrix(key: str, table: Any, complain: Complain) -> dict[str, tuple[str, ...]]:
    """A table of lists; each combination of their values is a task of its own."""
    found = _table(key, table, '{ REGION = ["eu", "us"] }', lambda *one: _choices(key, *one), complain)
    combinations = prod(len(choices) for choices in found.values())
    if combinations > MOST_COPIES:
        message = f"`{key}` has {combinations:,} combinations, and at most {MOST_COPIES:,} are possible"
        raise RefusalError(message, "let the command itself go through one of the lists")
    return found


def _choices(key: str, name: str, items: Any, complain: Complain) -> tuple[str, ...]:
    if not isinstance(items, list):
        message = f"`{name}` in `{key}` is {type_name(items)}, where a list belongs"
        raise RefusalError(message, f'write `{name} = ["eu", "us"]`')
    if not items:
        raise RefusalError(f"`{name}` in `{key}` is an empty list: there would be no task", "remove it, or add a value")
    numbers: dict[str, int] = {}

    def element(item: object) -> str:
        text = str(item) if isinstance(item, int) and not isinstance(item, bool) else item
        if not isinstance(text, str):
            literal = str(item).lower() if isinstance(item, bool | float) else "…"
            message = f"`{name}` in `{key}` contains {type_name(item)}, where strings belong"
            raise RefusalError(message, f'write it in quotes: `"{literal}"`')
        _value(key, name, text)
        if text in numbers:
            raise RefusalError(f"{values.brief(text)} is listed twice in `{name}` of `{key}`", "remove one of the two")
        numbers[text] = len(numbers) + 1
        return text

    choices = tuple(each(items, element, complain))
    if len(choices) == len(items):
        _check_labels(name, choices, complain)
    return choices


def _check_labels(name: str, choices: tuple[str, ...], complain: Complain) -> None:
    """Report a value whose task would get the same name as that of an earlier one."""
    first: dict[str, str] = {}
    for index, value in enumerate(choices):
        short = label(value, index + 1)
        if short in first:
            both = f"tasks of {values.brief(first[short])} and {values.brief(value)} in `{name}`"
            hint = "a value with anything but A-Z a-z 0-9 . _ - is named by its position in the list: change their order"
            complain(f"{both} would both be named `[{short}]`", hint, index)
        first.setdefault(short, value)


def _schema(names: str, element: Any) -> dict[str, Any]:
    pattern = f"^(?!CRONFLOW_{names}){VARIABLE_PATTERN}$"
    return {"type": "object", "propertyNames": {"pattern": pattern}, "additionalProperties": element}


_NOT_RESERVED = "".join(f"|{name}$" for name in RESERVED)
ENV = ValueKind("table of strings", env, _schema("", {"type": "string"}))
PARAMS = ValueKind("table of strings", params, _schema(_NOT_RESERVED, {"type": "string"}))
SECRETS = ValueKind(
    "table of references",
    secrets,
    _schema("", {"type": "string", "pattern": rf"^((file|credential|command):(?!//)\s*\S|env:{VARIABLE_PATTERN}$)"}),
)
_CHOICES = {"type": "array", "minItems": 1, "uniqueItems": True, "items": {"type": ["string", "integer"]}}
MATRIX = ValueKind("table of lists", matrix, _schema(_NOT_RESERVED, _CHOICES))
