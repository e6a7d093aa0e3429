"""What stands around a command: a shell that keeps what a `foreach` prints, one that asks for secrets first.

Texts of sh(1) are constant, and all that varies is an argument: nothing of a job file is ever read as part of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cronflow.ask import VALUE_LIMIT
from cronflow.core.run.outputs import FILE_LIMIT

SH = "/bin/sh"
_COLLECT = (
    'rc=$({ { (exec "$@" 3>&-); echo $? >&3; } | command -p head -c ' + str(FILE_LIMIT + 1) + ' >"$0"; } 3>&1)'
    ' || exit 74; exit "$rc"'
)
"""The items go through a pipe that ends at the limit, so that no flood fills the disk; 74 (sysexits.h, EX_IOERR): it was full."""
_ASK = (
    """\
_cronflow_line='
'
while [ "$1" != -- ]; do
  _cronflow_value=$({ "$0" -c "$2" </dev/null; echo "/cronflow/$?"; } | command -p head -c LIMIT)
  case ${_cronflow_value##*/cronflow/} in
    0) ;;
    "" | *[!0-9]*)
      echo "cronflow: the command of secret \\`$1\\` printed more than 64 kB" >&2
      exit 125 ;;
    *)
      echo "cronflow: the command of secret \\`$1\\` ended with exit status ${_cronflow_value##*/cronflow/}" >&2
      exit 125 ;;
  esac
  _cronflow_value=${_cronflow_value%/cronflow/*}
  while [ "$_cronflow_value" != "${_cronflow_value%"$_cronflow_line"}" ]; do
    _cronflow_value=${_cronflow_value%"$_cronflow_line"}
  done
  export "$1=$_cronflow_value"
  shift 2
done
shift
unset _cronflow_value _cronflow_line
exec "$@"
"""
).replace("LIMIT", str(VALUE_LIMIT + len("/cronflow/0")))
"""A value comes through a pipe that ends at the limit, behind it the status of its command: where that is missing, the value was
larger."""


def collecting(argv: Sequence[str], path: Path) -> list[str]:
    """A command whose standard output goes into a file, up to the limit; its exit status stays its own."""
    return [SH, "-c", _COLLECT, str(path), *argv]


def asking(argv: Sequence[str], shell: str, commands: Mapping[str, str]) -> list[str]:
    """A command before which others are run, whose output it finds in its environment: KEY -> command. Their values are in no
    command line; one that fails ends the attempt with exit status 125."""
    if not commands:
        return list(argv)
    pairs = [word for pair in commands.items() for word in pair]
    return [SH, "-c", _ASK, shell, *pairs, "--", *argv]
