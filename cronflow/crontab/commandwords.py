"""Words of commands: programs that only start others, that only prepare, and whose names say nothing."""

from __future__ import annotations

import re


def _words(*texts: str) -> frozenset[str]:
    return frozenset(word for text in texts for word in text.split())


WRAPPERS = {
    **dict.fromkeys(_words("sudo doas runuser"), _words("-u -g -U -C -h -p -r -t")),
    **dict.fromkeys(_words("env nohup exec command time chronic cronic setsid eval then do"), _words("-u")),
    **dict.fromkeys(_words("nice ionice chrt taskset stdbuf"), _words("-n -c -p -o -e -i")),
    **dict.fromkeys(_words("xvfb-run unbuffer caffeinate systemd-cat cronlock lockrun"), _words("-t")),
}
"""Programs that start the one that matters, each with its options that take a value."""
WITH_OPERAND = {"timeout": 1, "flock": 1, "setlock": 1, "chpst": 0, "su": 0}
"""More such programs, each with the number of words before the command."""
OPERAND_VALUES = _words("-k -s -w -E -u -c -l")
"""Their options that take a value."""
SHELLS = _words("sh bash zsh ksh dash ash fish")
INTERPRETERS = re.compile(r"(python|php|perl|ruby|node|nodejs|java|Rscript|lua|tclsh|deno|bun|pypy)[0-9.]*")
GUARDS = _words(
    "cd test [ [[ grep source . export set umask sleep true false : echo mkdir pushd popd unset ulimit local declare date wait",
    "ssh-agent eval trap printf shopt nvm rvm pyenv conda workon module command exit fi done else",
)
"""Commands that prepare for the one that matters."""
GENERIC = re.compile(
    r"manage|artisan|rake|rails|console|cli|run|exec|cron|main|index|app|jobs?|tasks?|script|start|worker|runner|wrapper|do|"
    r"execbin|execlib|run[-_](task|script|rake|job|cron)|occ|drush|wp|bin|invoke|npm|npx|yarn|pnpm|bundle|make|call"
)
"""Names of programs that say nothing; the word that follows does."""
VAGUE = re.compile(r"cron|cron[-_]?job|hourly|daily|nightly|weekly|monthly|yearly|main|index|run|start|update|script|task|job")
"""Names that need the name of their folder, if no word follows."""
FOLDERS = _words("bin sbin lib libexec scripts script src www html app current local opt usr var srv home root etc share cron")
"""Folders whose names say nothing."""
PLAIN = _words(
    "find rm tar rsync cp mv curl wget touch cat tail head chown chmod chgrp gzip zip scp ln dd mysqldump pg_dump psql mysql",
    "sqlite3 lwp-request GET fetch lynx links w3m http truncate sed awk grep cmp ssh mail",
)
"""Programs whose file or address says more than they do."""
PROGRAMS = (
    SHELLS
    | GUARDS
    | PLAIN
    | WRAPPERS.keys()
    | WITH_OPERAND.keys()
    | _words(
        "php python python2 python3 perl ruby node java if docker run-parts git make systemctl service logger",
        "logrotate certbot rails rake npm npx yarn ls for while case kill killall pkill reboot shutdown ntpdate apt-get apt yum",
        "dnf aws gsutil rclone",
    )
)
"""First words of commands, which are not users."""
EXTENSION = re.compile(r"\.(sh|bash|py|php[0-9]?|pl|rb|js|ts|jar|exe|bat|cgi|cron|conf|R|lua|zsh|kjb|sql|phar)$", re.IGNORECASE)
