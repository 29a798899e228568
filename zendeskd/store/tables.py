"""The tables as queries name them. Their definition, indexes and constraints are in the migrations.

Bound to no database: a query is run by `Database.rows` and `Database.execute`. Instants are text (see `models.stamp`).
"""

from __future__ import annotations

from peewee import (
    BigAutoField,
    BigIntegerField,
    BlobField,
    BooleanField,
    CompositeKey,
    IntegerField,
    Model,
    TextField,
)


class Organization(Model):
    id = TextField(primary_key=True)
    name = TextField()
    timezone = TextField()
    tags = TextField()
    created_at = TextField()

    class Meta:
        table_name = "organizations"


class Integration(Model):
    id = BigAutoField()
    organization_id = TextField()
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
    consecutive_failures = IntegerField()
    last_error_code = TextField(null=True)
    last_error_message = TextField(null=True)
    last_error_at = TextField(null=True)
    blocked_at = TextField(null=True)
    stopped_by = TextField(null=True)
    stop_reason = TextField(null=True)
    stopped_until = TextField(null=True)
    total_records = BigIntegerField()

    class Meta:
        table_name = "integrations"


class Credential(Model):
    integration_id = BigIntegerField(primary_key=True)
    kind = TextField()
    ciphertext = TextField()
    is_active = BooleanField()
    revision = IntegerField()
    expires_at = TextField(null=True)
    verified_at = TextField(null=True)
    updated_at = TextField()

    class Meta:
        table_name = "credentials"


class SyncLog(Model):
    id = BigAutoField()
    organization_id = TextField()
    integration_id = BigIntegerField()
    system_type = TextField()
    trigger = TextField()
    requested_by = TextField(null=True)
    status = TextField()
    queued_at = TextField()
    started_at = TextField(null=True)
    synced_at = TextField(null=True)
    duration_ms = BigIntegerField(null=True)
    records_processed = BigIntegerField()
    records_created = BigIntegerField()
    records_updated = BigIntegerField()
    records_unchanged = BigIntegerField()
    records_deleted = BigIntegerField()
    records_failed = BigIntegerField()
    pages = BigIntegerField()
    api_calls = BigIntegerField()
    retries = BigIntegerField()
    rate_limit_wait_ms = BigIntegerField()
    end_reason = TextField(null=True)
    error_code = TextField(null=True)
    error_message = TextField(null=True)
    error_hint = TextField(null=True)
    request_id = TextField(null=True)

    class Meta:
        table_name = "sync_logs"


class FlowRecord(Model):
    id = BigAutoField()
    organization_id = TextField()
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
    raw_ = TextField(column_name="raw")

    class Meta:
        table_name = "flow_records"


class RecordLink(Model):
    id = BigAutoField()
    organization_id = TextField()
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


class QuarantinedRecord(Model):
    id = BigAutoField()
    organization_id = TextField()
    integration_id = BigIntegerField()
    run_id = BigIntegerField(null=True)
    external_id = TextField(null=True)
    fingerprint = TextField()
    reason = TextField()
    first_seen_at = TextField()
    last_seen_at = TextField()
    raw_ = TextField(column_name="raw")

    class Meta:
        table_name = "quarantined_records"


class DailyCount(Model):
    integration_id = BigIntegerField()
    day = TextField()
    created = BigIntegerField()
    updated = BigIntegerField()
    deleted = BigIntegerField()
    runs = BigIntegerField()
    failures = BigIntegerField()

    class Meta:
        table_name = "daily_counts"
        primary_key = CompositeKey("integration_id", "day")


class Reconciliation(Model):
    id = BigAutoField()
    organization_id = TextField()
    integration_id = BigIntegerField()
    system_type = TextField()
    requested_by = TextField(null=True)
    status = TextField()
    started_at = TextField()
    finished_at = TextField(null=True)
    source_count = BigIntegerField()
    local_count = BigIntegerField()
    missing = BigIntegerField()
    stale = BigIntegerField()
    vanished = BigIntegerField()
    repaired = BigIntegerField()
    failed = BigIntegerField()
    pages = BigIntegerField()
    error_code = TextField(null=True)
    error_message = TextField(null=True)

    class Meta:
        table_name = "reconciliations"


class AuditEntry(Model):
    id = BigAutoField()
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
