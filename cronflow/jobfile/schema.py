"""The JSON Schema of a job file, for editors and other tools: made from the table of keys."""

from __future__ import annotations

from typing import Any

from cronflow.jobfile import keys
from cronflow.jobfile.jobkinds import NAME_PATTERN
from cronflow.jobfile.keys import Keys
from cronflow.jobfile.values import DURATION_PATTERN

DIALECT = "https://json-schema.org/draft/2020-12/schema"
NAMES = {"pattern": f"^{NAME_PATTERN}$"}
JOB_NAMES = {**NAMES, "not": {"pattern": r"^[0-9]+(\.[0-9]+)?$"}}


def schema() -> dict[str, Any]:
    """The schema of a job file or of an included one (JSON Schema, draft 2020-12).

    It refuses unknown keys, types and spellings; what takes more than one value to see, such as a cycle, only `check` reports."""
    return {
        "$schema": DIALECT,
        "title": "cronflow job file",
        "type": "object",
        "properties": {
            **_properties(keys.TOP),
            "defaults": {"$ref": "#/$defs/job", "description": keys.TABLES["defaults"]},
            "settings": _table(keys.SETTINGS, keys.TABLES["settings"]),
            "alerts": _named({"$ref": "#/$defs/alert"}, NAMES, keys.TABLES["alerts"]),
            "pools": _named(dict(keys.POOL.schema), NAMES, keys.TABLES["pools"]),
            "calendars": _named({"$ref": "#/$defs/calendar"}, NAMES, keys.TABLES["calendars"]),
            "jobs": _named({"$ref": "#/$defs/job"}, JOB_NAMES, keys.TABLES["jobs"]),
        },
        "patternProperties": {"^x-": {"description": "Free for your own use."}},
        "additionalProperties": False,
        "$defs": {
            "duration": {
                "type": "string",
                "pattern": f"^{DURATION_PATTERN}$",
                "description": 'A duration with units: "90s", "10m", "1h30m", "2d".',
            },
            "alert": {
                **_table(keys.ALERT, keys.TABLES["alerts"]),
                "anyOf": [{"required": [key]} for key in ("urls", "url_file", "url_env")],
            },
            "calendar": {
                **_table(keys.CALENDAR, keys.TABLES["calendars"]),
                "oneOf": [{"required": [key]} for key in keys.CALENDAR],
            },
            "job": _table(keys.JOB, keys.TABLES["jobs"]),
        },
    }


def _properties(table: Keys) -> dict[str, Any]:
    return {name: {**key.kind.schema, "description": key.meaning} for name, key in table.items()}


def _table(table: Keys, meaning: str) -> dict[str, Any]:
    return {"type": "object", "description": meaning, "properties": _properties(table), "additionalProperties": False}


def _named(body: dict[str, Any], names: dict[str, Any], meaning: str) -> dict[str, Any]:
    return {"type": "object", "description": meaning, "propertyNames": names, "additionalProperties": body}
