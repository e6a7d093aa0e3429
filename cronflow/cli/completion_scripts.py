"""The scripts of `cronflow completion`: for each shell one function of the verbs, and one line that reads the names file."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field

_NAMES = """\
_cronflow_names() {{
  local file={file}
  [ -n "${{CRONFLOW_STATE:-}}" ] && file=$CRONFLOW_STATE/names
  printf '%s\\n' "$file"
}}
_cronflow_jobs() {{
  local file=$(_cronflow_names)
  [ -r "$file" ] && cat -- "$file"
}}
_cronflow_waiting() {{
  local file=$(_cronflow_names)
  CRONFLOW_STATE=${{file%/names}} cronflow approve 2>/dev/null | sed 's/ .*//'
}}
"""
_DEFAULT_FILE = """"${XDG_STATE_HOME:-$HOME/.local/state}/cronflow/default/names"
  [ "$EUID" = 0 ] && file=/var/lib/cronflow/default/names"""


def _names_functions(file: str) -> str:
    """Shell functions that print the names of the jobs, and the tasks that wait for an approval; without `file` those of the
    state folder of whoever completes."""
    return _NAMES.format(file=file or _DEFAULT_FILE)


@dataclass(slots=True)
class Word:
    """A verb as completion sees it: its flags, those that take a value (and which kind), the kind of its arguments."""

    name: str
    help: str = ""
    flags: dict[str, str] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)
    argument: str = ""
    verbs: list[Word] = field(default_factory=list)


def _flat(words: list[Word]) -> Iterator[tuple[str, Word]]:
    for word in words:
        yield word.name, word
        for inner in word.verbs:
            yield f"{word.name} {inner.name}", inner


# ---- bash ----------------------------------------------------------------------------------------------------------------

_BASH = """\
# bash completion for cronflow, made by `cronflow completion bash`
{names}
_cronflow() {{
  local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}} verb= word i skip=
  COMPREPLY=()
  # bash makes words of their own of `=`: `--file=x` is three
  if [ "$cur" = = ]; then cur=; elif [ "$prev" = = ] && [ "$COMP_CWORD" -gt 2 ]; then prev=${{COMP_WORDS[COMP_CWORD-2]}}; fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${{COMP_WORDS[i]}}
    if [ -n "$skip" ]; then skip=; continue; fi
    case "$verb $word" in
{valued}
      *' '-*) ;;
{verbs}
    esac
  done
  local kind=
  case "$verb $prev" in
{values}
  esac
  if [ -z "$kind" ]; then
    case "$verb" in
{arguments}
    esac
    case $cur in -*)
      case "$verb" in
{flags}
      esac
      COMPREPLY=($(compgen -W "$kind" -- "$cur"))
      return ;;
    esac
  fi
  case $kind in
    job) while read -r word; do
           [[ $word == "$cur"* ]] && COMPREPLY+=("$word")
         done < <(_cronflow_jobs) ;;
    waiting) while read -r word; do
           [[ $word == "$cur"* ]] && COMPREPLY+=("$(printf '%q' "$word")")
         done < <(_cronflow_waiting) ;;
    file) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
    folder) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
    'words '*) COMPREPLY=($(compgen -W "${{kind#words }}" -- "$cur")) ;;
  esac
}}
complete -F _cronflow cronflow
"""


def bash(words: list[Word], names_file: str) -> str:
    """The script for bash (bash(1), Programmable Completion)."""
    valued, values, arguments, flags, verbs = [], [], [], [], []
    for verb, word in _flat(words):
        if word.values:
            valued.append(f"      {'|'.join(_case(verb, flag) for flag in word.values)}) skip=1 ;;")
        for flag, kind in word.values.items():
            values.append(f"    {_case(verb, flag)}) kind={shlex.quote(kind or 'nothing')} ;;")
        inner = [one.name for one in word.verbs] or ([one.name for one in words if one.name] if not verb else [])
        kind = "words " + " ".join(inner) if inner else word.argument or "nothing"
        arguments.append(f"      {shlex.quote(verb)}) kind={shlex.quote(kind)} ;;")
        flags.append(f"        {shlex.quote(verb)}) kind={shlex.quote(' '.join(sorted(word.flags)))} ;;")
        if inner:
            pattern = "|".join(_case(verb, name) for name in inner)
            verbs.append(f'      {pattern}) verb="${{verb:+$verb }}$word" ;;')
    return _BASH.format(
        names=_names_functions(names_file),
        valued="\n".join(valued),
        values="\n".join(values),
        arguments="\n".join(arguments),
        flags="\n".join(flags),
        verbs="\n".join(verbs),
    )


def _case(verb: str, word: str) -> str:
    return shlex.quote(f"{verb} {word}")


# ---- zsh -----------------------------------------------------------------------------------------------------------------

_ZSH = """\
#compdef cronflow
# zsh completion for cronflow, made by `cronflow completion zsh`
{names}
_cronflow_job() {{ local -a jobs; jobs=(${{(f)"$(_cronflow_jobs)"}}); compadd -a jobs }}
_cronflow_waits() {{ local -a tasks; tasks=(${{(f)"$(_cronflow_waiting)"}}); compadd -a tasks }}
_cronflow_nothing() {{ _message 'a value' }}

_cronflow() {{
  local context state state_descr line
  typeset -A opt_args
  _arguments -C {options} \\
    '1:verb:->verb' '*::argument:->rest'
  case $state in
    verb)
      local -a verbs=({verbs})
      _describe verb verbs ;;
    rest)
      case $line[1] in
{cases}
      esac ;;
  esac
}}
if [ "$funcstack[1]" = _cronflow ]; then _cronflow "$@"; else compdef _cronflow cronflow; fi
"""
_ZSH_ACTIONS = {
    "job": "_cronflow_job",
    "waiting": "_cronflow_waits",
    "file": "_files",
    "folder": "_files -/",
    "": "_cronflow_nothing",
}


def zsh(words: list[Word], names_file: str) -> str:
    """The script for zsh (zshcompsys(1), _arguments)."""
    top, *verbs = words
    cases = []
    for word in verbs:
        if word.verbs:
            inner = " ".join(one.name for one in word.verbs)
            branches = "\n".join(f"            {one.name}) _arguments {_zsh_rest(one)} ;;" for one in word.verbs)
            cases.append(
                f"        {word.name})\n          _arguments -C {_zsh_options(word)} '1:verb:({inner})' '*::argument:->inner'\n"
                f"          case $line[1] in\n{branches}\n          esac ;;"
            )
        else:
            cases.append(f"        {word.name}) _arguments {_zsh_rest(word)} ;;")
    return _ZSH.format(
        names=_names_functions(names_file),
        options=_zsh_options(top),
        verbs=" ".join(shlex.quote(f"{word.name}:{_zsh_text(word.help)}") for word in verbs),
        cases="\n".join(cases),
    )


def _zsh_rest(word: Word) -> str:
    action = _zsh_action(word.argument) if word.argument else ""
    return _zsh_options(word) + (f" {shlex.quote(f'*:argument:{action}')}" if action else "")


def _zsh_options(word: Word) -> str:
    specs = []
    for flag, text in word.flags.items():
        value = f":value:{_zsh_action(word.values[flag])}" if flag in word.values else ""
        specs.append(shlex.quote(f"{flag}[{_zsh_text(text)}]{value}"))
    return " ".join(specs)


def _zsh_action(kind: str) -> str:
    return f"({kind.removeprefix('words ')})" if kind.startswith("words ") else _ZSH_ACTIONS[kind]


def _zsh_text(text: str) -> str:
    return text.replace("[", "(").replace("]", ")").replace(":", "\\:").replace("`", "'")


# ---- fish ----------------------------------------------------------------------------------------------------------------

_FISH = """\
# fish completion for cronflow, made by `cronflow completion fish`
function __cronflow_names
  set -l file {file}
  set -q CRONFLOW_STATE; and set file $CRONFLOW_STATE/names
  echo "$file"
end
function __cronflow_jobs
  set -l file (__cronflow_names)
  test -r "$file"; and cat -- "$file"
end
function __cronflow_waiting
  set -lx CRONFLOW_STATE (dirname (__cronflow_names))
  cronflow approve 2>/dev/null | string replace -r ' .*' ''
end
function __cronflow_at --description 'whether these are the verbs so far'
  set -l found
  set -l skip no
  for word in (commandline -opc)[2..-1]
    if test $skip = yes
      set skip no
      continue
    end
    switch $word
      case {valued}
        set skip yes
      case '-*'
      case '*'
        set -a found $word
    end
    test (count $found) = (count $argv); and test (count $argv) -gt 0; and break
  end
  test "$found" = "$argv"
end
complete -c cronflow -f
"""
_FISH_FILE = """"$HOME/.local/state/cronflow/default/names"
  set -q XDG_STATE_HOME; and set file "$XDG_STATE_HOME/cronflow/default/names"
  test (id -u) = 0; and set file /var/lib/cronflow/default/names"""
_FISH_KINDS = {
    "job": "-x -a '(__cronflow_jobs)'",
    "waiting": "-x -a '(__cronflow_waiting)'",
    "file": "-r -F",
    "folder": "-x -a '(__fish_complete_directories)'",
    "": "-x",
}


def fish(words: list[Word], names_file: str) -> str:
    """The script for fish (complete(1) of fish)."""
    top, *verbs = words
    lines = [_FISH.format(file=names_file or _FISH_FILE, valued=" ".join(top.values))]
    nowhere = "__cronflow_at"
    lines += _fish_flags(top, nowhere)
    for word in verbs:
        lines.append(_fish_line(nowhere, f"-a {word.name} -d {shlex.quote(word.help)}"))
        here = f"__cronflow_at {word.name}"
        lines += _fish_flags(word, here)
        for inner in word.verbs:
            lines.append(_fish_line(here, f"-a {inner.name} -d {shlex.quote(inner.help)}"))
            lines += _fish_flags(inner, f"{here} {inner.name}")
        if word.argument:
            lines.append(_fish_line(here, _fish_kind(word.argument).removeprefix("-x ")))
    return "\n".join(lines) + "\n"


def _fish_line(condition: str, rest: str) -> str:
    return f"complete -c cronflow -n {shlex.quote(condition)} {rest}"


def _fish_flags(word: Word, condition: str) -> list[str]:
    lines = []
    for flag, text in word.flags.items():
        name = f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}"
        value = f" {_fish_kind(word.values[flag])}" if flag in word.values else ""
        lines.append(_fish_line(condition, f"{name}{value} -d {shlex.quote(text)}"))
    return lines


def _fish_kind(kind: str) -> str:
    return f"-x -a {shlex.quote(kind.removeprefix('words '))}" if kind.startswith("words ") else _FISH_KINDS[kind]
