"""The kinds of values that only keys of jobs and alert targets take: commands, order, exit codes, paths and names.

Readers and checks raise RefusalError, as those of `kinds` do.
"""

from __future__ import annotations

import re
from typing import Any, get_args

from cronflow.core.jobs import ALERT_KINDS, CONDITIONS, RETRY_WORDS, Catchup, Edge, Join, MatrixJoin, Overlap
from cronflow.jobfile import kinds, values
from cronflow.jobfile.kinds import Check, Complain, ValueKind, each, type_name, without_nul, wrong_type
from cronflow.jobfile.suggest import did_you_mean
from cronflow.jobfile.values import RefusalError
from cronflow.jobfile.variables import ARGUMENT_LIMIT

NAME_PATTERN = "[A-Za-z0-9_][A-Za-z0-9._-]{0,63}"
NAME = re.compile(NAME_PATTERN)
CODE: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": 255}


def name_hint(name: str) -> str | None:
    """A hint about an invalid name of a job, an alert target, a pool or a calendar; None for a valid name."""
    if not NAME.fullmatch(name):
        return "names have up to 64 letters from a to z, digits, `.`, `_` and `-`, and begin with a letter, a digit or `_`"
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", name):
        return "a number is the name of a run: add a letter"
    return None


def argument(key: str, text: str) -> str:
    """The text itself. Raises RefusalError if it cannot be an argument of a process."""
    if len(text) * 4 > ARGUMENT_LIMIT and len(text.encode()) >= ARGUMENT_LIMIT:
        raise RefusalError(f"`{key}` is longer than an argument can be (128 KiB)", "put it into a script")
    return without_nul(key, text)


def _instead_of_empty(key: str, nothing: str) -> str:
    return f"write `{key} = {nothing}` for a job that does nothing" if key == "command" else "remove the key"


def command(key: str, value: Any, complain: Complain) -> str | tuple[str, ...]:
    """A string for the shell, or an array that is run as it is."""
    if isinstance(value, str):
        if not value.strip():
            raise RefusalError(f"`{key}` is empty", _instead_of_empty(key, '"true"'))
        return argument(key, value)
    if not isinstance(value, list):
        raise wrong_type(key, value, "a string or a list", '"./backup.sh"' if key == "command" else '"test -e /srv/ready"')
    if not value or value[0] == "":
        raise RefusalError(f"`{key}` is empty", _instead_of_empty(key, '["/usr/bin/true"]'))

    def element(item: object) -> str:
        if isinstance(item, str):
            return argument(key, item)
        literal = str(item).lower() if isinstance(item, bool | int | float) else "…"
        raise RefusalError(f"`{key}` contains {type_name(item)}, where strings belong", f'write it in quotes: `"{literal}"`')

    return tuple(each(value, element, complain))


def after(key: str, value: Any, complain: Complain) -> tuple[Edge, ...]:
    """A list of jobs, or a table `{ job = "success" }`."""
    if isinstance(value, dict):
        return tuple(_edge(key, name, condition, complain) for name, condition in value.items())
    if isinstance(value, str):
        raise RefusalError(f"`{key}` is a string, where a list belongs", f"write `{key} = [{values.brief(value)}]`")
    if not isinstance(value, list):
        raise wrong_type(key, value, "a list of jobs", '["extract"]')
    seen: set[str] = set()

    def element(item: object) -> Edge:
        if not isinstance(item, str):
            raise RefusalError(f"`{key}` contains {type_name(item)}, where job names belong", f'write `{key} = ["extract"]`')
        if item in seen:
            raise RefusalError(f"`{item}` is listed twice in `{key}`", "remove one of the two")
        seen.add(item)
        return Edge(item)

    return tuple(each(value, element, complain))


def _edge(key: str, name: str, condition: object, complain: Complain) -> Edge:
    for known in CONDITIONS:
        if condition == known:
            return Edge(name, known)
    choice = "conditions are " + ", ".join(f'"{known}"' for known in CONDITIONS)
    if isinstance(condition, str):
        message = f"`{name} = {values.brief(condition)}` in `{key}` is not a condition"
        complain(message, did_you_mean(condition, CONDITIONS) or choice, name)
    else:
        complain(f"`{name}` in `{key}` is {type_name(condition)}, where a condition belongs", choice, name)
    return Edge(name)


def _code(key: str, code: object) -> int:
    if isinstance(code, bool) or not isinstance(code, int):
        raise RefusalError(f"`{key}` contains {type_name(code)}, where exit codes belong", "exit codes are numbers from 0 to 255")
    if not 0 <= code <= 255:
        raise RefusalError(f"`{code}` in `{key}` is not an exit code", "exit codes are numbers from 0 to 255")
    return code


def codes(empty: str) -> ValueKind:
    """A list of exit codes; if it may not be empty, `empty` says what an empty one would mean."""

    def read(key: str, value: Any, complain: Complain) -> tuple[int, ...]:
        if not isinstance(value, list):
            example = f"[{value}]" if isinstance(value, int) and not isinstance(value, bool) else "[0]"
            raise wrong_type(key, value, "a list of exit codes", example)
        if empty and not value:
            raise RefusalError(f"`{key}` is empty: {empty}", f"write `{key} = [0]`, or remove the key")
        return tuple(each(value, lambda item: _code(key, item), complain))

    schema: dict[str, Any] = {"type": "array", "items": CODE}
    return ValueKind("list of exit codes", read, {**schema, "minItems": 1} if empty else schema)


def retry_on(key: str, value: Any, complain: Complain) -> tuple[int | str, ...]:
    """A list of exit codes and of the words `timeout`, `killed`, `lost`, `check`."""
    if not isinstance(value, list):
        raise wrong_type(key, value, "a list", '[1, "timeout"]')

    def element(item: object) -> int | str:
        if not isinstance(item, str):
            return _code(key, item)
        if item in RETRY_WORDS:
            return item
        choice = ", ".join(f'"{word}"' for word in RETRY_WORDS)
        hint = did_you_mean(item, RETRY_WORDS) or f"it takes exit codes and {choice}"
        raise RefusalError(f"`{key}` cannot contain {values.brief(item)}", hint)

    return tuple(each(value, element, complain))


def own_home(key: str, text: str) -> None:
    """Check a path: it may begin with `~` or `~/`, but not with `~USER`."""
    if text.startswith("~") and text != "~" and not text.startswith("~/"):
        raise RefusalError(f"`{key} = {values.brief(text)}` names the home of another user", "write the whole path, or `~/…`")


def url_file(key: str, text: str) -> None:
    """Check that it is a path, and not the URL itself, of which nothing is shown."""
    if "://" in text:
        raise RefusalError(f"`{key}` is a URL, where the path of a file belongs", 'a URL itself belongs in `urls = ["…"]`')
    own_home(key, text)


def absolute(key: str, text: str) -> None:
    """Check an absolute path."""
    if not text.startswith("/"):
        name = text.rpartition("/")[2]
        raise RefusalError(f"`{key} = {values.brief(text)}` is not an absolute path", f'write `{key} = "/bin/{name}"`')


def zone(key: str, text: str) -> None:
    """Check an IANA time zone, by the data that this machine has."""
    from cronflow.core.time.schedule import ZoneError, check_zone

    try:
        check_zone(text)
    except ZoneError as error:
        raise RefusalError(f"`{key} = {values.brief(text)}` is not a time zone that this machine knows", error.hint) from None


def keep_runs(key: str, value: Any, complain: Complain) -> Any:
    """A duration (float, in seconds), or a number of runs of each job (int)."""
    count = isinstance(value, int) and not isinstance(value, bool)
    return (KEEP_COUNT if count else KEEP_TIME).read(key, value, complain)


def alert_url(key: str, text: str) -> None:
    """Check a URL for Apprise, as far as is possible without loading Apprise."""
    if not re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text):
        hint = 'write `"SERVICE://…"` as Apprise documents it for the service'
        if re.fullmatch(r"(mailto:)?[^\s:/@]+@[^\s:/@]+", text):
            hint = 'mail through this machine is `"mailto://localhost?from=ADDRESS&to=ADDRESS"`'
        raise RefusalError(f"an element of `{key}` is not a URL", hint)


def alert_kind(key: str, text: str) -> None:
    """Check a kind of alert."""
    if text not in ALERT_KINDS:
        hint = did_you_mean(text, ALERT_KINDS) or f"kinds are {', '.join(ALERT_KINDS)}"
        raise RefusalError(f"{values.brief(text)} in `{key}` is not a kind of alert", hint)


def approve(key: str, value: Any, _: Complain) -> str | None:
    """The message for whoever approves, possibly empty; None: no approval is needed."""
    if isinstance(value, str) and value.strip():
        return without_nul(key, value)
    if not isinstance(value, bool):
        empty = isinstance(value, str) and not value.strip()
        message = f"`{key}` is empty" if empty else f"`{key}` is {type_name(value)}, where true or a message belongs"
        raise RefusalError(message, f'write `{key} = true`, or what is to be approved: `{key} = "send to all customers"`')
    return "" if value else None


def watched(key: str, text: str) -> None:
    """Check a path or a pattern of files."""
    own_home(key, text)
    if text.endswith("/"):
        message = f"`{key} = {values.brief(text)}` is a folder, where files belong"
        raise RefusalError(message, f"`{text}*` matches the files in it")


def declared_name(noun: str, hint: str) -> Check:
    """A check of names of a kind of table; whether the table exists is known once all files are read."""

    def check(key: str, text: str) -> None:
        if name_hint(text):
            raise RefusalError(f"{values.brief(text)} in `{key}` is not a valid {noun} name", hint)

    return check


ALERT_NAME = declared_name("alert", "name a table `[alerts.NAME]`")
POOL_NAME = declared_name("pool", "name a key of `[pools]`: `NAME = 2`")
CALENDAR_NAME = declared_name("calendar", "dates belong in a table `[calendars.NAME]`")
CATCHUP, JOIN, OVERLAP, MATRIX_JOIN = (kinds.one_of(get_args(words)) for words in (Catchup, Join, Overlap, MatrixJoin))
APPROVE = ValueKind("true, false or string", approve, {"oneOf": [{"type": "boolean"}, {"type": "string", "pattern": r"\S"}]})
COMMAND = ValueKind(
    "string or array of strings",
    command,
    {"oneOf": [{"type": "string", "pattern": r"\S"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]},
)
AFTER = ValueKind(
    "list of jobs or table",
    after,
    {
        "oneOf": [
            {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
            {"type": "object", "additionalProperties": {"enum": list(CONDITIONS)}},
        ]
    },
)
RETRY_ON = ValueKind(
    "list of exit codes and words", retry_on, {"type": "array", "items": {"oneOf": [CODE, {"enum": list(RETRY_WORDS)}]}}
)
KEEP_COUNT = kinds.integer(1, 1_000_000_000, 1000)
KEEP_TIME = kinds.duration(3600.0)
KEEP_RUNS = ValueKind(
    "duration or whole number", keep_runs, {"oneOf": [{"$ref": "#/$defs/duration"}, {"type": "integer", "minimum": 1}]}
)
