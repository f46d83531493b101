-- +goose Up
-- The audit tables: the columns of the requirement document DD-AUDIT-001 under their names, a few facts more, then the envelope, which is the same in every
-- table. There is no way down: an audit trail is not dropped by its own program.
--
-- tx is the transaction that made the row. A reader that follows the tables takes what is below the oldest transaction that still runs, and misses nothing: a serial
-- number would be given before COMMIT, and rows become visible in another order. Nobody may name tx or created_at (see 00003_roles.sql): the defaults are the facts.
--
-- An index on a VARCHAR must take its longest value, 4 bytes a character: a B-tree tuple has at most 2704 bytes, and a row whose tuple is longer is refused. So no index
-- has more than two columns of 255 characters. docs/database.md names the query of each index.
--
-- An index on a time that comes late leaves out the rows that do not have it yet: most of them. A comparison implies IS NOT NULL, so it is used as any other.
--
-- alert_name and target_kind are the database's, from the record's JSON: an index-only scan takes columns, and no expressions. They are cut, for the same bound.

CREATE TABLE orchestration_audit (
    id UUID PRIMARY KEY,
    remediation_id VARCHAR(255) NOT NULL,
    signal_fingerprint VARCHAR(255) NOT NULL,
    signal_received_at TIMESTAMPTZ NOT NULL,
    remediation_created_at TIMESTAMPTZ NOT NULL,
    ai_analysis_started_at TIMESTAMPTZ,
    workflow_started_at TIMESTAMPTZ,
    notification_sent_at TIMESTAMPTZ,
    completed_at TIMESTAMPTZ,
    services_invoked JSONB,
    service_transitions JSONB,
    total_duration_seconds INTEGER,
    bottleneck_phase VARCHAR(50),
    bottleneck_duration_seconds INTEGER,
    signal_context JSONB,
    target JSONB,
    outcome VARCHAR(50),
    failure_reason TEXT,
    policy JSONB,
    children JSONB,
    requested_by VARCHAR(255),
    cancelled_by VARCHAR(255),
    alert_name VARCHAR(255) GENERATED ALWAYS AS (left(signal_context ->> 'name', 255)) STORED,
    target_kind VARCHAR(63) GENERATED ALWAYS AS (left(target ->> 'kind', 63)) STORED,
    source_cluster VARCHAR(255),
    source_namespace VARCHAR(255),
    source_name VARCHAR(255),
    source_uid UUID,
    sequence BIGINT,
    event VARCHAR(64) NOT NULL,
    phase VARCHAR(50) NOT NULL,
    final BOOLEAN NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL,
    recorded_by VARCHAR(255),
    schema_version SMALLINT NOT NULL,
    previous_hash BYTEA,
    entry_hash BYTEA,
    traceparent VARCHAR(64),
    entry TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    tx XID8 NOT NULL DEFAULT pg_current_xact_id(),
    UNIQUE (source_uid, sequence)
);
COMMENT ON TABLE orchestration_audit IS 'What became of each remediation: one row a change, each with the whole record as of then.';
-- text_pattern_ops compares bytes: it finds an id that is equal and ids that begin with a text, whatever the database's collation is.
CREATE INDEX ON orchestration_audit (remediation_id text_pattern_ops);
CREATE INDEX ON orchestration_audit (recorded_at);
CREATE INDEX ON orchestration_audit (tx);
CREATE INDEX ON orchestration_audit (remediation_created_at);
CREATE INDEX ON orchestration_audit (completed_at) WHERE completed_at IS NOT NULL;
CREATE INDEX ON orchestration_audit (source_namespace, source_name);
-- One row a remediation, open ones too: the first entry of its resource, or what was posted. All rows of a remediation have the same signal_received_at, so
-- orchestration_first_received is the index on that. It INCLUDEs the fingerprint: trends see there what may have come back, and read no row for it.
CREATE INDEX orchestration_first_received ON orchestration_audit (signal_received_at, id) INCLUDE (signal_fingerprint) WHERE sequence = 1 OR sequence IS NULL;
CREATE INDEX orchestration_first_namespace ON orchestration_audit (source_namespace, signal_received_at, id) WHERE sequence = 1 OR sequence IS NULL;
CREATE INDEX orchestration_first_alert ON orchestration_audit (alert_name, signal_received_at, id) WHERE sequence = 1 OR sequence IS NULL;
CREATE INDEX orchestration_first_fingerprint ON orchestration_audit (signal_fingerprint text_pattern_ops, signal_received_at, id) WHERE sequence = 1 OR sequence IS NULL;
CREATE INDEX orchestration_first_name ON orchestration_audit (source_name text_pattern_ops, signal_received_at, id) WHERE sequence = 1 OR sequence IS NULL;
-- One row a remediation that has ended, or what was posted. What is counted and averaged is INCLUDEd, so that the rows, which are wide, are not read for it.
CREATE INDEX orchestration_final_completed ON orchestration_audit (completed_at, id)
    INCLUDE (outcome, signal_received_at, total_duration_seconds, bottleneck_phase, bottleneck_duration_seconds, source_namespace, alert_name)
    WHERE final OR sequence IS NULL;
CREATE INDEX orchestration_final_alert ON orchestration_audit (alert_name, completed_at, id)
    INCLUDE (outcome, signal_received_at, total_duration_seconds, source_namespace, target_kind)
    WHERE final OR sequence IS NULL;
CREATE INDEX orchestration_final_namespace ON orchestration_audit (source_namespace, completed_at, id) WHERE final OR sequence IS NULL;
CREATE INDEX orchestration_final_outcome ON orchestration_audit (outcome, completed_at, id) WHERE final OR sequence IS NULL;
CREATE INDEX orchestration_final_outcome_received ON orchestration_audit (outcome, signal_received_at, id) WHERE final OR sequence IS NULL;

CREATE TABLE ai_analysis_audit (
    id UUID PRIMARY KEY,
    remediation_id VARCHAR(255) NOT NULL,
    investigation_started_at TIMESTAMPTZ NOT NULL,
    investigation_completed_at TIMESTAMPTZ,
    holmesgpt_response_time_ms INTEGER,
    root_cause TEXT,
    root_cause_confidence DOUBLE PRECISION,
    recommended_action VARCHAR(255),
    action_confidence DOUBLE PRECISION,
    action_rationale TEXT,
    alternatives_considered JSONB,
    approval_status VARCHAR(50),
    approval_time TIMESTAMPTZ,
    approval_duration_seconds INTEGER,
    approval_method VARCHAR(50),
    approval_justification TEXT,
    approved_by VARCHAR(255),
    rejected_by VARCHAR(255),
    rejection_reason TEXT,
    investigator VARCHAR(100),
    model VARCHAR(255),
    model_config JSONB,
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    attempts INTEGER,
    evidence JSONB,
    recommended_parameters JSONB,
    no_action_reason TEXT,
    failure_reason TEXT,
    approval_required BOOLEAN,
    approval_requested_at TIMESTAMPTZ,
    approval_mode VARCHAR(50),
    approval_threshold DOUBLE PRECISION,
    approval_deadline TIMESTAMPTZ,
    source_cluster VARCHAR(255),
    source_namespace VARCHAR(255),
    source_name VARCHAR(255),
    source_uid UUID,
    sequence BIGINT,
    event VARCHAR(64) NOT NULL,
    phase VARCHAR(50) NOT NULL,
    final BOOLEAN NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL,
    recorded_by VARCHAR(255),
    schema_version SMALLINT NOT NULL,
    previous_hash BYTEA,
    entry_hash BYTEA,
    traceparent VARCHAR(64),
    entry TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    tx XID8 NOT NULL DEFAULT pg_current_xact_id(),
    UNIQUE (source_uid, sequence)
);
COMMENT ON TABLE ai_analysis_audit IS 'What was found and recommended, why, and who approved it.';
CREATE INDEX ON ai_analysis_audit (remediation_id);
CREATE INDEX ON ai_analysis_audit (recorded_at);
CREATE INDEX ON ai_analysis_audit (tx);
CREATE INDEX ON ai_analysis_audit (investigation_started_at);
CREATE INDEX ON ai_analysis_audit (approval_time) WHERE approval_time IS NOT NULL;
CREATE INDEX ON ai_analysis_audit (source_namespace, source_name);
CREATE INDEX ai_analysis_final_started ON ai_analysis_audit (investigation_started_at, id)
    INCLUDE (approval_status, approval_requested_at, approval_duration_seconds, action_confidence, source_namespace)
    WHERE final OR sequence IS NULL;

CREATE TABLE workflow_execution_audit (
    id UUID PRIMARY KEY,
    remediation_id VARCHAR(255) NOT NULL,
    workflow_id VARCHAR(255) NOT NULL,
    execution_started_at TIMESTAMPTZ NOT NULL,
    execution_completed_at TIMESTAMPTZ,
    total_duration_seconds INTEGER,
    steps_executed JSONB,
    total_steps INTEGER,
    steps_succeeded INTEGER,
    steps_failed INTEGER,
    retries_performed INTEGER,
    pre_conditions_passed BOOLEAN,
    post_conditions_passed BOOLEAN,
    validation_results JSONB,
    outcome VARCHAR(50),
    effectiveness_score DOUBLE PRECISION,
    rollbacks_performed INTEGER,
    adaptive_adjustments JSONB,
    workflow_version VARCHAR(255),
    acted_as VARCHAR(512),
    failure_reason TEXT,
    source_cluster VARCHAR(255),
    source_namespace VARCHAR(255),
    source_name VARCHAR(255),
    source_uid UUID,
    sequence BIGINT,
    event VARCHAR(64) NOT NULL,
    phase VARCHAR(50) NOT NULL,
    final BOOLEAN NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL,
    recorded_by VARCHAR(255),
    schema_version SMALLINT NOT NULL,
    previous_hash BYTEA,
    entry_hash BYTEA,
    traceparent VARCHAR(64),
    entry TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    tx XID8 NOT NULL DEFAULT pg_current_xact_id(),
    UNIQUE (source_uid, sequence)
);
COMMENT ON TABLE workflow_execution_audit IS 'What was done to the target, step by step, and how well it worked.';
CREATE INDEX ON workflow_execution_audit (remediation_id);
CREATE INDEX ON workflow_execution_audit (recorded_at);
CREATE INDEX ON workflow_execution_audit (tx);
CREATE INDEX ON workflow_execution_audit (execution_started_at);
CREATE INDEX ON workflow_execution_audit (execution_completed_at) WHERE execution_completed_at IS NOT NULL;
CREATE INDEX ON workflow_execution_audit (source_namespace, source_name);
CREATE INDEX workflow_execution_first_workflow ON workflow_execution_audit (workflow_id, execution_started_at, id) INCLUDE (remediation_id) WHERE sequence = 1 OR sequence IS NULL;
CREATE INDEX workflow_execution_final_started ON workflow_execution_audit (execution_started_at, id)
    INCLUDE (workflow_id, outcome, effectiveness_score, rollbacks_performed, source_namespace)
    WHERE final OR sequence IS NULL;

CREATE TABLE notification_audit (
    id UUID PRIMARY KEY,
    remediation_id VARCHAR(255) NOT NULL,
    notification_requested_at TIMESTAMPTZ NOT NULL,
    notification_sent_at TIMESTAMPTZ,
    delivery_confirmed_at TIMESTAMPTZ,
    channels JSONB,
    delivery_attempts JSONB,
    delivery_status VARCHAR(50),
    purpose VARCHAR(50),
    subject TEXT,
    failure_reason TEXT,
    source_cluster VARCHAR(255),
    source_namespace VARCHAR(255),
    source_name VARCHAR(255),
    source_uid UUID,
    sequence BIGINT,
    event VARCHAR(64) NOT NULL,
    phase VARCHAR(50) NOT NULL,
    final BOOLEAN NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL,
    recorded_by VARCHAR(255),
    schema_version SMALLINT NOT NULL,
    previous_hash BYTEA,
    entry_hash BYTEA,
    traceparent VARCHAR(64),
    entry TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    tx XID8 NOT NULL DEFAULT pg_current_xact_id(),
    UNIQUE (source_uid, sequence)
);
COMMENT ON TABLE notification_audit IS 'Who was told what, and every attempt to deliver it.';
CREATE INDEX ON notification_audit (remediation_id);
CREATE INDEX ON notification_audit (recorded_at);
CREATE INDEX ON notification_audit (tx);
CREATE INDEX ON notification_audit (notification_requested_at);
CREATE INDEX ON notification_audit (notification_sent_at) WHERE notification_sent_at IS NOT NULL;
CREATE INDEX ON notification_audit (source_namespace, source_name);

CREATE TABLE resource_audit (
    id UUID PRIMARY KEY,
    kind VARCHAR(253) NOT NULL,
    record JSONB NOT NULL,
    source_cluster VARCHAR(255),
    source_namespace VARCHAR(255),
    source_name VARCHAR(255),
    source_uid UUID,
    sequence BIGINT,
    event VARCHAR(64) NOT NULL,
    phase VARCHAR(50) NOT NULL,
    final BOOLEAN NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL,
    recorded_by VARCHAR(255),
    schema_version SMALLINT NOT NULL,
    previous_hash BYTEA,
    entry_hash BYTEA,
    traceparent VARCHAR(64),
    entry TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    tx XID8 NOT NULL DEFAULT pg_current_xact_id(),
    UNIQUE (source_uid, sequence)
);
COMMENT ON TABLE resource_audit IS 'The entries of kinds that have no table of their own.';
CREATE INDEX ON resource_audit (recorded_at);
CREATE INDEX ON resource_audit (tx);
CREATE INDEX ON resource_audit (source_namespace, source_name);

CREATE TABLE audit_dead_letter (
    id UUID NOT NULL,
    entry_hash BYTEA NOT NULL,
    kind TEXT NOT NULL,
    entry TEXT NOT NULL,
    entry_bytes BYTEA,
    error TEXT NOT NULL,
    sqlstate TEXT,
    source_cluster TEXT,
    source_namespace TEXT,
    source_name TEXT,
    source_uid UUID,
    sequence BIGINT,
    previous_hash BYTEA,
    first_attempt TIMESTAMPTZ NOT NULL,
    last_attempt TIMESTAMPTZ NOT NULL,
    attempts BIGINT NOT NULL,
    redriven_at TIMESTAMPTZ,
    tx XID8 NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (id, entry_hash)
);
COMMENT ON TABLE audit_dead_letter IS 'Entries that could not become rows, whole and with the reason. Redriving makes the row; the dead letter stays.';
CREATE INDEX ON audit_dead_letter (source_uid, sequence);
CREATE INDEX ON audit_dead_letter (first_attempt);
CREATE INDEX ON audit_dead_letter (tx);

-- Rows are only added. Autovacuum comes by the number of new rows, not by a share of all: else a table of ten million rows waits for two million, and until then what
-- is new is not marked all-visible, and an index-only scan reads the rows after all. A run reads only the pages that are not marked yet.
ALTER TABLE orchestration_audit SET (autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 20000);
ALTER TABLE ai_analysis_audit SET (autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 20000);
ALTER TABLE workflow_execution_audit SET (autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 20000);
ALTER TABLE notification_audit SET (autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 20000);
ALTER TABLE resource_audit SET (autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 20000);

-- Five of the ten rows of a remediation are here, and a report reads them whole, with the texts that their hashes are of. By default half of these texts would be stored out of line, which costs an insert two more rows
-- and an entry of one more index, and a reader four pages each. Of the other tables trends read one small column of many rows: there, rows that are small are worth more.
ALTER TABLE orchestration_audit SET (toast_tuple_target = 8160);
