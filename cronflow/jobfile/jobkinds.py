"""The kinds of values that only a job's keys take: its commands, order, exit codes, paths and names."""

from __future__ import annotations

import re
from typing import Any, get_args

from cronflow.core.jobs import ALERT_KINDS, CONDITIONS, RETRY_WORDS, Catchup, Edge, Join, MatrixJoin, Overlap
from cronflow.jobfile import kinds, values
from cronflow.jobfile.kinds import Complain, Kind, each, mistyped, sound, what
from cronflow.jobfile.suggest import did_you_mean
from cronflow.jobfile.values import RefusalError
from cronflow.jobfile.variables import ARGUMENT_LIMIT

NAME_PATTERN = "[A-Za-z0-9_][A-Za-z0-9._-]{0,63}"
NAME = re.compile(NAME_PATTERN)
CODE: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": 255}


def name_fault(name: str) -> str | None:
    """What is wrong with the name of a job, an alert target, a pool or a calendar, as a hint; None for a good name."""
    if not NAME.fullmatch(name):
        return "names have letters from a to z, digits, `.`, `_` and `-`, at most 64, and begin with a letter, a digit or `_`"
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", name):
        return "numbers name runs: put a letter into it"
    return None


def _argument(key: str, text: str) -> str:
    if len(text) * 4 > ARGUMENT_LIMIT and len(text.encode()) >= ARGUMENT_LIMIT:
        raise RefusalError(f"`{key}` is longer than a process can be given (128 KiB)", "put it into a script of its own")
    return sound(key, text)


def _instead(key: str, nothing: str) -> str:
    return f"write `{key} = {nothing}` for a job that does nothing" if key == "command" else "take the key out"


def command(key: str, value: Any, complain: Complain) -> str | tuple[str, ...]:
    """A string for the shell, or an array that is run as it is."""
    if isinstance(value, str):
        if not value.strip():
            raise RefusalError(f"`{key}` is empty", _instead(key, '"true"'))
        return _argument(key, value)
    if not isinstance(value, list):
        raise mistyped(key, value, "a string or a list", '"./backup.sh"' if key == "command" else '"test -e /srv/ready"')
    if not value or value[0] == "":
        raise RefusalError(f"`{key}` is empty", _instead(key, '["/usr/bin/true"]'))

    def element(item: object) -> str:
        if isinstance(item, str):
            return _argument(key, item)
        literal = str(item).lower() if isinstance(item, bool | int | float) else "…"
        raise RefusalError(f"`{key}` holds {what(item)}, where strings belong", f'write it in quotes: `"{literal}"`')

    return tuple(each(value, element, complain))


def after(key: str, value: Any, complain: Complain) -> tuple[Edge, ...]:
    """A list of jobs, or a table `{ job = "success" }`."""
    if isinstance(value, dict):
        return tuple(_edge(key, name, condition, complain) for name, condition in value.items())
    if isinstance(value, str):
        raise RefusalError(f"`{key}` is a string, where a list belongs", f"write `{key} = [{values.brief(value)}]`")
    if not isinstance(value, list):
        raise mistyped(key, value, "a list of jobs", '["extract"]')
    seen: set[str] = set()

    def element(item: object) -> Edge:
        if not isinstance(item, str):
            raise RefusalError(f"`{key}` holds {what(item)}, where names of jobs belong", f'write `{key} = ["extract"]`')
        if item in seen:
            raise RefusalError(f"`{item}` stands twice in `{key}`", "take one of the two out")
        seen.add(item)
        return Edge(item)

    return tuple(each(value, element, complain))


def _edge(key: str, name: str, condition: object, complain: Complain) -> Edge:
    for known in CONDITIONS:
        if condition == known:
            return Edge(name, known)
    choice = "conditions are " + ", ".join(f'"{known}"' for known in CONDITIONS)
    if isinstance(condition, str):
        told = f"`{name} = {values.brief(condition)}` in `{key}` is no condition"
        complain(told, did_you_mean(condition, CONDITIONS) or choice, name)
    else:
        complain(f"`{name}` in `{key}` is {what(condition)}, where a condition belongs", choice, name)
    return Edge(name)


def _code(key: str, code: object) -> int:
    if isinstance(code, bool) or not isinstance(code, int):
        raise RefusalError(f"`{key}` holds {what(code)}, where exit codes belong", "exit codes are numbers from 0 to 255")
    if not 0 <= code <= 255:
        raise RefusalError(f"`{code}` in `{key}` is no exit code", "exit codes are numbers from 0 to 255")
    return code


def codes(empty: str) -> Kind:
    """A list of exit codes; `empty` tells what an empty one would mean, where it may not be empty."""

    def read(key: str, value: Any, complain: Complain) -> tuple[int, ...]:
        if not isinstance(value, list):
            example = f"[{value}]" if isinstance(value, int) and not isinstance(value, bool) else "[0]"
            raise mistyped(key, value, "a list of exit codes", example)
        if empty and not value:
            raise RefusalError(f"`{key}` is empty: {empty}", f"write `{key} = [0]`, or take the key out")
        return tuple(each(value, lambda item: _code(key, item), complain))

    schema: dict[str, Any] = {"type": "array", "items": CODE}
    return Kind("list of exit codes", read, {**schema, "minItems": 1} if empty else schema)


def retry_on(key: str, value: Any, complain: Complain) -> tuple[int | str, ...]:
    """A list of exit codes and of the words `timeout`, `killed`, `lost`, `check`."""
    if not isinstance(value, list):
        raise mistyped(key, value, "a list", '[1, "timeout"]')

    def element(item: object) -> int | str:
        if not isinstance(item, str):
            return _code(key, item)
        if item in RETRY_WORDS:
            return item
        choice = ", ".join(f'"{word}"' for word in RETRY_WORDS)
        hint = did_you_mean(item, RETRY_WORDS) or f"it takes exit codes and {choice}"
        raise RefusalError(f"{values.brief(item)} in `{key}` is none of its words", hint)

    return tuple(each(value, element, complain))


def tilde(key: str, text: str) -> None:
    """A path may begin with `~` or `~/`: the home of the job's user."""
    if text.startswith("~") and text != "~" and not text.startswith("~/"):
        raise RefusalError(f"`{key} = {values.brief(text)}` names the home of another user", "write the path, or `~/…`")


def url_file(key: str, text: str) -> None:
    """A path, and not the URL itself, of which nothing is told."""
    if "://" in text:
        raise RefusalError(f"`{key}` is a URL, where the path of a file belongs", 'a URL itself belongs into `urls = ["…"]`')
    tilde(key, text)


def absolute(key: str, text: str) -> None:
    """A program that no PATH is searched for."""
    if not text.startswith("/"):
        name = text.rpartition("/")[2]
        raise RefusalError(f"`{key} = {values.brief(text)}` is no absolute path", f'write `{key} = "/bin/{name}"`')


def zone(key: str, text: str) -> None:
    """An IANA time zone that this machine knows."""
    from cronflow.core.time.schedule import ZoneError, check_zone

    try:
        check_zone(text)
    except ZoneError as error:
        raise RefusalError(f"`{key} = {values.brief(text)}` is no time zone that this machine knows", error.hint) from None


def keep_runs(key: str, value: Any, complain: Complain) -> Any:
    """A duration (float, seconds), or a count of runs for each job (int)."""
    count = isinstance(value, int) and not isinstance(value, bool)
    return (KEEP_COUNT if count else KEEP_TIME).read(key, value, complain)


def alert_url(key: str, text: str) -> None:
    """A URL as Apprise takes them, as far as can be told without loading Apprise."""
    if not re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text):
        hint = 'write `"SERVICE://…"` as the page of the service at Apprise tells'
        if re.fullmatch(r"(mailto:)?[^\s:/@]+@[^\s:/@]+", text):
            hint = 'mail by this machine is `"mailto://localhost?from=ADDRESS&to=ADDRESS"`'
        raise RefusalError(f"an entry of `{key}` is no URL", hint)


def alert_names(key: str, text: str) -> None:
    """The name of an alert target; whether it is there is seen when all files are read."""
    if name_fault(text):
        raise RefusalError(f"{values.brief(text)} in `{key}` is no name of an alert target", "name a table `[alerts.NAME]`")


def alert_kind(key: str, text: str) -> None:
    """A kind of alert."""
    if text not in ALERT_KINDS:
        hint = did_you_mean(text, ALERT_KINDS) or f"kinds are {', '.join(ALERT_KINDS)}"
        raise RefusalError(f"{values.brief(text)} in `{key}` is no kind of alert", hint)


def approve(key: str, value: Any, _: Complain) -> str | None:
    """The message for who approves, maybe empty; None: nobody has to."""
    if isinstance(value, str) and value.strip():
        return sound(key, value)
    if not isinstance(value, bool):
        empty = isinstance(value, str) and not value.strip()
        told = f"`{key}` is empty" if empty else f"`{key}` is {what(value)}, where true or a message belongs"
        raise RefusalError(told, f'write `{key} = true`, or what is to be approved: `{key} = "send to all customers"`')
    return "" if value else None


def checks(key: str, text: str) -> None:
    """One of the commands of `check`."""
    _argument(key, text)


def watched(key: str, text: str) -> None:
    """A path or glob of files."""
    tilde(key, text)
    if text.endswith("/"):
        told = f"`{key} = {values.brief(text)}` is a folder, and files are watched"
        raise RefusalError(told, f"`{text}*` are the files in it")


def pool_name(key: str, text: str) -> None:
    """The name of a pool; whether it is there is seen when the file is read."""
    if name_fault(text):
        raise RefusalError(f"`{key} = {values.brief(text)}` is no name of a pool", "name a key of `[pools]`: `NAME = 2`")


def calendar_names(key: str, text: str) -> None:
    """The name of a calendar; whether it is there is seen when the file is read."""
    if name_fault(text):
        told = f"{values.brief(text)} in `{key}` is no name of a calendar"
        raise RefusalError(told, "dates stand in a table `[calendars.NAME]`")


CATCHUP, JOIN, OVERLAP, MATRIX_JOIN = (kinds.word(get_args(words)) for words in (Catchup, Join, Overlap, MatrixJoin))
APPROVE = Kind("true, false or string", approve, {"oneOf": [{"type": "boolean"}, {"type": "string", "pattern": r"\S"}]})
COMMAND = Kind(
    "string or array of strings",
    command,
    {
        "oneOf": [
            {"type": "string", "pattern": r"\S"},
            {"type": "array", "items": {"type": "string"}, "minItems": 1},
        ]
    },
)
AFTER = Kind(
    "list of jobs or table",
    after,
    {
        "oneOf": [
            {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
            {"type": "object", "additionalProperties": {"enum": list(CONDITIONS)}},
        ]
    },
)
RETRY_ON = Kind(
    "list of exit codes and words", retry_on, {"type": "array", "items": {"oneOf": [CODE, {"enum": list(RETRY_WORDS)}]}}
)
KEEP_COUNT = kinds.whole(1, 1_000_000_000, 1000)
KEEP_TIME = kinds.duration(3600.0)
KEEP_RUNS = Kind(
    "duration or whole number", keep_runs, {"oneOf": [{"$ref": "#/$defs/duration"}, {"type": "integer", "minimum": 1}]}
)
