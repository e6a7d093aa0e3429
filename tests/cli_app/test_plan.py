"""`cronflow plan`: what a reload would change, against a real daemon."""

from __future__ import annotations

from collections.abc import Callable

from tests.cli_app.conftest import Cli, Daemon

Start = Callable[[str], Daemon]
JOBS = """\
timezone = "Europe/Berlin"
[settings]
reload = "manual"
[alerts.ops]
urls = "json://secret.example/token"
[jobs.backup]
schedule = "0 2 * * *"
command = "sleep 600"
timeout = "1h"
[jobs.prune]
after = ["backup"]
command = "true"
"""


def test_a_file_that_says_the_same_changes_nothing(cli: Cli, daemon: Start) -> None:
    daemon(JOBS)
    answer = cli("plan")
    assert (answer.status, answer.out.splitlines()[-1]) == (0, "a reload would change nothing")


def test_what_a_reload_would_change(cli: Cli, daemon: Start) -> None:
    one = daemon(JOBS)
    assert cli("run", "backup", "--detach").status == 0
    one.wait(lambda: one.task_state(1, "backup") == "running")
    edited = JOBS.replace("0 2 *", "0 3 *").replace('"1h"', '"2h"').replace("token", "other") + '[jobs.new]\ncommand = "x"\n'
    cli.file.write_text(edited)
    told = cli("plan", "--json").json
    assert (told["against"], told["added"], told["removed"]) == ("daemon", ["new"], [])
    keys = {one["key"]: (one["before"], one["after"]) for one in told["changed"][0]["keys"]}
    assert keys == {"schedule": (["0 2 * * *"], ["0 3 * * *"]), "timeout": (3600.0, 7200.0)}
    (slot,) = told["slots"]
    assert (slot["job"], slot["before"][11:16], slot["after"][11:16], slot["anew"]) == ("backup", "02:00", "03:00", True)
    assert told["runs"] == [{"run": 1, "flow": "backup", "jobs": ["backup"]}]
    assert told["settings"] == [{"key": "alerts.ops", "before": "(not shown)", "after": "(not shown)"}]
    screen = cli("plan").out
    assert "timeout    1h -> 2h" in screen
    assert "run 1 of backup ends under the definition with which it began: backup" in screen
    assert "token" not in screen + str(told)
    assert "other" not in screen
    assert cli("reload").status == 0
    assert cli("plan").out.splitlines()[-1] == "a reload would change nothing"


def test_another_file_can_be_named_and_nothing_is_put_in_force(cli: Cli, daemon: Start) -> None:
    daemon(JOBS)
    (cli.folder / "new.toml").write_text('[jobs.other]\ncommand = "true"\n')
    told = cli("plan", "new.toml", "--json").json
    assert (told["added"], told["removed"]) == (["other"], ["backup", "prune"])
    assert [one["name"] for one in cli("status", "--json").json["jobs"]] == ["backup", "prune"]
    assert cli("plan").out.splitlines()[-1] == "a reload would change nothing"


def test_a_broken_or_missing_file_is_an_error(cli: Cli, daemon: Start) -> None:
    daemon(JOBS)
    (cli.folder / "bad.toml").write_text("[jobs.a]\ncomand = 1\n")
    bad = cli("plan", "bad.toml")
    assert (bad.status, "did you mean `command`?" in bad.err) == (1, True)
    assert cli("plan", "missing.toml").status == 1


def test_without_a_daemon_it_compares_with_the_history(cli: Cli) -> None:
    cli.file.write_text(JOBS)
    nothing = cli("plan")
    assert (nothing.status, "the daemon is not running, so nothing is in force" in nothing.err) == (3, True)
    assert cli("run", "prune").status == 0
    cli.file.write_text(JOBS.replace('"true"', '"false"'))
    told = cli("plan", "--json").json
    assert (told["against"], told["since"], told["settings"]) == ("history", None, [])
    assert [one["job"] for one in told["changed"]] == ["prune"]
