"""The tables of the first release."""

from __future__ import annotations

from typing import Any

from peewee import (
    SQL,
    BigAutoField,
    BigIntegerField,
    BlobField,
    BooleanField,
    CompositeKey,
    Database,
    IntegerField,
    Model,
    TextField,
)

NO_REUSE = SQL("AUTOINCREMENT")
"""An id is never given out a second time, also not after the newest rows were removed."""

ORGANIZATION = SQL("REFERENCES organizations (id)")
INTEGRATION = SQL("REFERENCES integrations (id)")


class Organization(Model):
    id = TextField(primary_key=True)
    name = TextField()
    timezone = TextField()
    tags = TextField(default="[]", constraints=[SQL("DEFAULT '[]'")])
    created_at = TextField()

    class Meta:
        table_name = "organizations"


class Integration(Model):
    id = BigAutoField(constraints=[NO_REUSE])
    organization_id = TextField(constraints=[ORGANIZATION])
    system_type = TextField()
    base_url = TextField()
    strategy = TextField()
    is_active = BooleanField()
    sync_interval = TextField()
    timezone = TextField()
    lookback = TextField()
    state = TextField()
    cursor = TextField(null=True)
    cursor_strategy = TextField(null=True)
    watermark = TextField(null=True)
    copy_from = TextField(null=True)
    next_run_at = TextField(null=True)
    last_sync_at = TextField(null=True)
    last_success_at = TextField(null=True)
    consecutive_failures = IntegerField(constraints=[SQL("DEFAULT 0")])
    last_error_code = TextField(null=True)
    last_error_message = TextField(null=True)
    last_error_at = TextField(null=True)
    blocked_at = TextField(null=True)
    stopped_by = TextField(null=True)
    stop_reason = TextField(null=True)
    stopped_until = TextField(null=True)
    total_records = BigIntegerField(constraints=[SQL("DEFAULT 0")])

    class Meta:
        table_name = "integrations"
        indexes = ((("organization_id", "system_type"), True),)


class Credential(Model):
    integration_id = BigIntegerField(primary_key=True, constraints=[INTEGRATION])
    kind = TextField()
    ciphertext = TextField()
    is_active = BooleanField(constraints=[SQL("DEFAULT 1")])
    revision = IntegerField(constraints=[SQL("DEFAULT 1")])
    expires_at = TextField(null=True)
    verified_at = TextField(null=True)
    updated_at = TextField()

    class Meta:
        table_name = "credentials"


class SyncLog(Model):
    id = BigAutoField(constraints=[NO_REUSE])
    organization_id = TextField(constraints=[ORGANIZATION])
    integration_id = BigIntegerField(constraints=[INTEGRATION])
    system_type = TextField()
    trigger = TextField()
    requested_by = TextField(null=True)
    status = TextField()
    queued_at = TextField()
    started_at = TextField(null=True)
    synced_at = TextField(null=True)
    duration_ms = BigIntegerField(null=True)
    records_processed = BigIntegerField(constraints=[SQL("DEFAULT 0")])
    records_created = BigIntegerField(constraints=[SQL("DEFAULT 0")])
    records_updated = BigIntegerField(constraints=[SQL("DEFAULT 0")])
    records_unchanged = BigIntegerField(constraints=[SQL("DEFAULT 0")])
    records_deleted = BigIntegerField(constraints=[SQL("DEFAULT 0")])
    records_failed = BigIntegerField(constraints=[SQL("DEFAULT 0")])
    pages = BigIntegerField(constraints=[SQL("DEFAULT 0")])
    api_calls = BigIntegerField(constraints=[SQL("DEFAULT 0")])
    retries = BigIntegerField(constraints=[SQL("DEFAULT 0")])
    rate_limit_wait_ms = BigIntegerField(constraints=[SQL("DEFAULT 0")])
    end_reason = TextField(null=True)
    error_code = TextField(null=True)
    error_message = TextField(null=True)
    error_hint = TextField(null=True)
    request_id = TextField(null=True)

    class Meta:
        table_name = "sync_logs"
        indexes = (
            (("synced_at",), False),  # the newest ones, and pruning
            (("integration_id", "id"), False),
            (("organization_id", "id"), False),
            (("status", "id"), False),  # what failed, what is queued, what was left running
        )


class FlowRecord(Model):
    id = BigAutoField(constraints=[NO_REUSE])
    organization_id = TextField(constraints=[ORGANIZATION])
    source_system = TextField()
    record_type = TextField()
    external_id = TextField()
    url = TextField(null=True)
    title = TextField(null=True)
    body = TextField(null=True)
    status = TextField(null=True)
    priority = TextField(null=True)
    requester = TextField(null=True)
    assignee = TextField(null=True)
    group_name = TextField(null=True)
    customer = TextField(null=True)
    tags = TextField()
    created_at = TextField(null=True)
    updated_at = TextField()
    source_version = BigIntegerField()
    deleted_at = TextField(null=True)
    content_hash = BlobField()
    first_synced_at = TextField()
    synced_at = TextField()
    raw_ = TextField(column_name="raw")  # last: a row's other columns are read without its overflow pages

    class Meta:
        table_name = "flow_records"
        indexes = (
            (("organization_id", "source_system", "record_type", "external_id"), True),
            (("organization_id", "updated_at"), False),
            (("source_system", "updated_at"), False),  # also counts by system without touching a row
            (("updated_at",), False),
        )


class RecordLink(Model):
    id = BigAutoField(constraints=[NO_REUSE])
    organization_id = TextField(constraints=[ORGANIZATION])
    source_system = TextField()
    record_type = TextField()
    external_id = TextField()
    relation = TextField()
    target_system = TextField()
    target_type = TextField()
    target_external_id = TextField()
    origin = TextField()
    created_by = TextField(null=True)
    created_at = TextField()

    class Meta:
        table_name = "record_links"
        indexes = (
            (
                (
                    "organization_id",
                    "source_system",
                    "record_type",
                    "external_id",
                    "relation",
                    "target_system",
                    "target_type",
                    "target_external_id",
                ),
                True,
            ),
            (("organization_id", "target_system", "target_type", "target_external_id"), False),
        )


class QuarantinedRecord(Model):
    id = BigAutoField(constraints=[NO_REUSE])
    organization_id = TextField(constraints=[ORGANIZATION])
    integration_id = BigIntegerField(constraints=[INTEGRATION])
    run_id = BigIntegerField(null=True)
    external_id = TextField(null=True)
    fingerprint = TextField()
    reason = TextField()
    first_seen_at = TextField()
    last_seen_at = TextField()
    raw_ = TextField(column_name="raw")

    class Meta:
        table_name = "quarantined_records"
        indexes = ((("integration_id", "fingerprint"), True), (("organization_id",), False))


class DailyCount(Model):
    integration_id = BigIntegerField(constraints=[INTEGRATION])
    day = TextField()
    created = BigIntegerField(constraints=[SQL("DEFAULT 0")])
    updated = BigIntegerField(constraints=[SQL("DEFAULT 0")])
    deleted = BigIntegerField(constraints=[SQL("DEFAULT 0")])
    runs = BigIntegerField(constraints=[SQL("DEFAULT 0")])
    failures = BigIntegerField(constraints=[SQL("DEFAULT 0")])

    class Meta:
        table_name = "daily_counts"
        primary_key = CompositeKey("integration_id", "day")


class Reconciliation(Model):
    id = BigAutoField(constraints=[NO_REUSE])
    organization_id = TextField(constraints=[ORGANIZATION])
    integration_id = BigIntegerField(constraints=[INTEGRATION])
    system_type = TextField()
    requested_by = TextField(null=True)
    status = TextField()
    started_at = TextField()
    finished_at = TextField(null=True)
    source_count = BigIntegerField(constraints=[SQL("DEFAULT 0")])
    local_count = BigIntegerField(constraints=[SQL("DEFAULT 0")])
    missing = BigIntegerField(constraints=[SQL("DEFAULT 0")])
    stale = BigIntegerField(constraints=[SQL("DEFAULT 0")])
    vanished = BigIntegerField(constraints=[SQL("DEFAULT 0")])
    repaired = BigIntegerField(constraints=[SQL("DEFAULT 0")])
    failed = BigIntegerField(constraints=[SQL("DEFAULT 0")])
    pages = BigIntegerField(constraints=[SQL("DEFAULT 0")])
    error_code = TextField(null=True)
    error_message = TextField(null=True)

    class Meta:
        table_name = "reconciliations"
        indexes = ((("integration_id", "id"), False), (("organization_id",), False), (("status", "id"), False))


class AuditEntry(Model):
    id = BigAutoField(constraints=[NO_REUSE])
    at = TextField()
    uid = IntegerField(null=True)
    user = TextField(null=True)
    pid = IntegerField(null=True)
    operation = TextField()
    target = TextField()
    detail = TextField()
    outcome = IntegerField()

    class Meta:
        table_name = "audit_log"
        indexes = ((("at",), False),)


TABLES = (
    Organization,
    Integration,
    Credential,
    SyncLog,
    FlowRecord,
    RecordLink,
    QuarantinedRecord,
    DailyCount,
    Reconciliation,
    AuditEntry,
)

SEARCH_INDEX = (
    "CREATE VIRTUAL TABLE flow_records_fts USING fts5("
    "title, body, requester, assignee, tags, content='flow_records', content_rowid='id')",
    # index pages as big as the database's own: a third more rows a second than the default of 4050 bytes
    "INSERT INTO flow_records_fts (flow_records_fts, rank) VALUES ('pgsz', 16000)",
    # its pieces are merged by a chore (`store.merging`); in a commit only where so many of one size have gathered
    "INSERT INTO flow_records_fts (flow_records_fts, rank) VALUES ('automerge', 0), ('crisismerge', 128)",
)


def up(_migrator: Any, database: Database) -> None:
    database.bind(list(TABLES))
    database.create_tables(list(TABLES), safe=False)
    for statement in SEARCH_INDEX:
        database.execute_sql(statement)  # type: ignore[no-untyped-call]
