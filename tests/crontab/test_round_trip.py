"""Import, check, export, import: the same jobs come back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from cronflow.core.jobs import Job, JobSet
from cronflow.crontab import sources, writing
from cronflow.crontab.convert import convert
from cronflow.crontab.tables import CronTable, TableKind
from cronflow.export import crontab
from cronflow.export.report import ExportRequest
from cronflow.jobfile.read import read
from tests.crontab.reading import SHARED, real_crontabs, table

NOW = 1_795_000_000.0
ZONE = "Europe/Berlin"
ME = "anna"
OWN = """\
MAILTO=ops@example.org
SHELL=/bin/bash
PATH=/opt/bin:/usr/bin:/bin
# Nightly backup
30 2 * * * /opt/backup.sh --all >/dev/null 2>&1
GREETING='it "works"'
HOME=/srv
*/15 8-17 * * mon-fri cd /srv/etl && ./load.sh | tee log
MAILTO=""
@daily mail -s "the date is $(date +\\%F)" joe%Dear Joe,%%today is a day.%100\\% sure
@reboot ./start & echo 'a\\b' \\\\
"""


def jobs_of(one: CronTable, path: Path) -> JobSet:
    """The jobs of a table, by way of the job file that is written for it and read without an error."""
    done = convert([one])
    path.write_text(f'timezone = "{ZONE}"\n{writing.write(done)}', encoding="utf-8")
    return read(str(path), thorough=False, now=NOW).jobs


def there_and_back(one: CronTable, folder: Path) -> tuple[Mapping[str, Job], Mapping[str, Job]]:
    """The jobs of a table, and those of the table that is exported of them."""
    jobs = jobs_of(one, folder / "first.toml")
    written = crontab.export(ExportRequest(jobs, NOW, ZONE, ME, "first.toml", one.kind == "system"))
    assert written.report.refused == {}
    kind: TableKind = "system" if one.kind == "system" else "user"
    again = sources.table("exported", written.files[""].encode(), sources.ReadingOptions(kind, "auto"))
    return jobs.jobs, jobs_of(again, folder / "second.toml").jobs


def kept(jobs: Mapping[str, Job], daemon: str, kind: str) -> list[Job]:
    """The jobs without what a crontab cannot say. busybox starts no job beside itself, and its PATH is not cron's; anacron makes
    up for missed starts, and starts its jobs in `/`."""
    found = [job._replace(name="") for job in jobs.values()]
    if daemon == "busybox":
        found = [job._replace(overlap="allow", env={}) for job in found]
    if kind == "anacron":
        plain = [job._replace(overlap="allow", catchup="none", cwd="/") for job in found]
        found = [job._replace(command=str(job.command).removeprefix("cd / && ")) for job in plain]
    return found


FILES = [path.name for path in real_crontabs()]


@pytest.mark.skipif(not FILES, reason=f"the real crontabs are not there: {SHARED}")
@pytest.mark.parametrize("name", FILES)
def test_a_real_crontab_comes_back(name: str, tmp_path: Path) -> None:
    one = table((SHARED / name).read_bytes(), None, "auto", name)
    first, second = there_and_back(one, tmp_path)
    assert kept(second, one.daemon, one.kind) == kept(first, one.daemon, one.kind)
    assert list(second) == list(first)


def test_a_table_with_all_that_cron_has_comes_back(tmp_path: Path) -> None:
    first, second = there_and_back(table(OWN), tmp_path)
    assert len(first) == 4
    assert list(second.values()) == list(first.values())
