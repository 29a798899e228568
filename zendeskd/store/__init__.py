"""What is asked of the database, and what is written to it, by noun. Any thread may call any method.

Instants come in and go out as aware datetimes, except in records, whose columns are text as they are stored. Every
method may raise StorageError; those that look for something raise NotFound with the nearest names.
"""

from __future__ import annotations

from zendeskd.db import Database
from zendeskd.store.audit import Audit
from zendeskd.store.fleet import Fleet
from zendeskd.store.merging import Merging
from zendeskd.store.pages import Pages
from zendeskd.store.reconciliations import Reconciliations
from zendeskd.store.records import Records
from zendeskd.store.runs import Runs


class Store:
    """The parts of the store over one database."""

    def __init__(self, db: Database) -> None:
        self.fleet = Fleet(db)
        self.runs = Runs(db, self.fleet)
        self.pages = Pages(db)
        self.records = Records(db)
        self.merging = Merging(db)
        self.reconciliations = Reconciliations(db)
        self.audit = Audit(db)
