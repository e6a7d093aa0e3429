"""The database as the parts of the daemon hold it: nobody keeps a store, so that a damaged one can be replaced."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path

from cronflow.core.effects import Effects
from cronflow.store.sound import is_damage
from cronflow.store.store import Store

REPLACED_AGAIN = 60.0
"""Seconds for which a new database is not replaced by another one, and each time twice as long: what is wrong then may be us."""


class Database:
    """Ask for its `store` each time. `unsaved` is what the engine has decided and the store does not hold yet. `damage` is what
    was found since the last replacement; `replaced` counts those, so that a part notices that the rows it knew are gone. `facts`
    are what each store says of this daemon."""

    def __init__(self, store: Store, folder: Path, facts: Mapping[str, str]) -> None:
        self.store = store
        self.facts = facts
        self.unsaved = Effects()
        self.damage: sqlite3.DatabaseError | None = None
        self.replaced = 0
        self._folder = folder
        self._spared_for, self._spared_until = REPLACED_AGAIN / 2, 0.0

    def on_error(self, error: sqlite3.DatabaseError) -> None:
        """Note damage, for the daemon to deal with. A full or failing disk is waited for; a mistake of ours is raised again."""
        if is_damage(error):
            if time.monotonic() >= self._spared_until:
                self.damage = error
        elif not isinstance(error, sqlite3.OperationalError):
            raise error

    def replace(self) -> None:
        """Put an empty database in the place of this one; where there is no room for a file, one that can save nothing until it
        is replaced as well."""
        if self.damage is not None:
            self._spared_for *= 2
            self._spared_until = time.monotonic() + self._spared_for
        self.damage = None
        self.store = self.store.replaced(self._folder, **self.facts)
        self.replaced += 1
