"""The language between a daemon and a keeper: one JSON object a line over a stream socket.

Client to keeper
    hello  {version, generation}       first of all; `generation` is the daemon's own number, rising for ever
    spawn  {id, argv, env, log, cwd, uid, gid, groups, umask, nice, stdin, timeout, kill_after, max_output}
    stop   {id, why, now}              TERM to the whole tree, KILL after `kill_after`; at once with `now`
    ack    {id}                        the end of this attempt is committed: forget it
    list   {}                          answered by `list`

Keeper to client
    hello    {version, pid, role, generation, draining, attempts}
    list     {attempts}
    started  {id, pid, at}             a process of its own exists and is on its way to the command
    failed   {id, stage, errno, at}    the command never ran; may come after `started`; final
    ended    {id, status, at, started_at, cpu_s, max_rss_kb, output_bytes, left_behind, stopped}   final
    refused  {id, why}                 why: draining, journal, length, acknowledged, unknown; without id: fenced
    draining {why}                     starts nothing more; the daemon starts a fresh keeper for what comes

`type` names the message. Of spawn only id, argv, env and log must be there. `nice` is absolute, as in setpriority(2);
cwd is `/` and kill_after 10 s unless given. `why` of a stop is a word of at most 64 characters.
`status` is the raw wait status of wait(2), or null when nobody knows it. `stage` is one of fork, log, stdin, nice,
user, cwd, exec. `stopped` is null, `timeout`, or the `why` of the stop. `max_rss_kb` counts the child before exec too,
and so is never below the size of a keeper, some 10 MB.
An entry of `attempts` has `state` (running, ending, ended, failed) and the keys of started, failed, ended.
Instants are epoch seconds, durations seconds, sizes bytes.

A hello with a higher generation than any before fences: connections of lower ones are dropped with every request
not yet claimed, read or unread. What the answer then says, or leaves out, is final. Of two connections with the same
generation the newer one stays. A spawn for an id that is already claimed is answered with its state.
"""
from __future__ import annotations

import json
from typing import Any

from cronflow.wire import ProtocolError

VERSION = 1
MAX_LINE = 4 << 20
"""The longest request in bytes: twice what execve(2) takes as arguments and environment."""

Message = dict[str, Any]

_encode = json.JSONEncoder(separators=(",", ":")).encode
_decode = json.JSONDecoder().decode


def encode(message: Message) -> bytes:
    """One line; bytes that are not UTF-8 in a name travel as escaped lone surrogates (PEP 383)."""
    return _encode(message).encode("ascii") + b"\n"


def decode(line: bytes) -> Message:
    """The message of a line, or ProtocolError."""
    try:
        message = _decode(line.decode("ascii"))
    except ValueError as error:
        raise ProtocolError(f"a line that is no JSON: {error}") from error
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise ProtocolError("a line without a `type`")
    return message


_NEEDED: dict[str, dict[str, type]] = {
    "hello": {"generation": int}, "spawn": {"id": str, "log": str, "argv": list, "env": dict}, "stop": {"id": str},
    "ack": {"id": str}, "list": {},
}
_OPTIONAL: dict[str, tuple[type, ...]] = {
    "cwd": (str,), "stdin": (str,), "uid": (int,), "gid": (int,), "groups": (list,), "umask": (int,), "nice": (int,),
    "timeout": (int, float), "kill_after": (int, float), "max_output": (int,),
}


def check(request: Message) -> None:
    """ProtocolError unless this is a request and every key of it of its type, so that nothing can go wrong half way."""
    kind = request["type"]
    if kind not in _NEEDED:
        raise ProtocolError(f"`{kind}` is not known")
    for name, wanted in _NEEDED[kind].items():
        if not isinstance(request.get(name), wanted):
            raise ProtocolError(f"`{kind}` without `{name}`")
    if kind == "spawn":
        _check_spawn(request)


def _check_spawn(request: Message) -> None:
    strings = [request["id"], request["log"], *request["argv"], *request["env"], *request["env"].values()]
    if not all(isinstance(text, str) and "\0" not in text for text in strings) or not request["argv"]:
        raise ProtocolError("a spawn needs a command, in texts without NUL characters")
    for name, types in _OPTIONAL.items():
        value = request.get(name)
        if value is not None and not isinstance(value, types):
            raise ProtocolError(f"`{name}` of a spawn is no {types[0].__name__}")
    if not all(isinstance(number, int) for number in request.get("groups") or ()):
        raise ProtocolError("`groups` of a spawn are no numbers")
