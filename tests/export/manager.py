"""What systemd does with the edges of units, after systemd.unit(5): transactions of Requires= and Wants=, ordered by After=; then
OnSuccess= and OnFailure=, the latter also for a unit whose requirement failed."""

from __future__ import annotations

from collections.abc import Mapping

Unit = dict[str, list[str]]


def parse(text: str) -> Unit:
    """The settings of a unit, each with its values in their order."""
    found: Unit = {}
    for line in text.splitlines():
        if "=" in line and line[0] not in "#[":
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


class Manager:
    """Units that end as `codes` says. `ran` are those whose command was started, in order."""

    def __init__(self, files: Mapping[str, str], codes: Mapping[str, int]) -> None:
        self.units = {name: parse(text) for name, text in files.items()}
        self.codes = codes
        self.ran: list[str] = []

    def elapse(self, timer: str) -> None:
        """A timer starts its unit."""
        (unit,) = self.units[timer]["Unit"]
        self.start([unit])

    def start(self, units: list[str]) -> None:
        results: dict[str, str] = {}
        said: list[str] = []
        for unit in units:
            self._job(unit, results, said)
        if said:
            self.start(list(dict.fromkeys(said)))

    def _job(self, unit: str, results: dict[str, str], said: list[str]) -> str:
        """The result of a start job in one transaction."""
        if unit in results:
            return results[unit]
        settings = self.units[unit]
        required = settings.get("Requires", [])
        for other in [*required, *settings.get("Wants", [])]:
            assert unit.endswith("-all.service") or other in settings["After"]
            self._job(other, results, said)
        if any(results[other] != "done" for other in required):
            results[unit] = "dependency"
        else:
            self.ran.append(unit)
            results[unit] = "failed" if self.codes.get(unit, 0) else "done"
        said += settings.get("OnSuccess" if results[unit] == "done" else "OnFailure", [])
        return results[unit]
