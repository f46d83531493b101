-- +goose Up
-- Rows are immutable. The triggers are ENABLE ALWAYS, so that they hold under session_replication_role = replica too, for the owner and for superusers. There
-- are two: the one for each statement refuses even what matches no row, the one for each row holds against logical replication, which fires no other.

-- +goose StatementBegin
CREATE FUNCTION holdfast_refuse() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '% on % is refused: audit rows are append-only', TG_OP, TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION holdfast_refuse_but_attempts() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    free CONSTANT text[] := ARRAY['last_attempt', 'attempts', 'redriven_at'];
BEGIN
    IF to_jsonb(NEW) - free IS DISTINCT FROM to_jsonb(OLD) - free THEN
        RAISE EXCEPTION 'UPDATE on % is refused: only last_attempt, attempts and redriven_at of a dead letter may change', TG_TABLE_NAME
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON orchestration_audit FOR EACH STATEMENT EXECUTE FUNCTION holdfast_refuse();
ALTER TABLE orchestration_audit ENABLE ALWAYS TRIGGER append_only;
CREATE TRIGGER append_only_row BEFORE UPDATE OR DELETE ON orchestration_audit FOR EACH ROW EXECUTE FUNCTION holdfast_refuse();
ALTER TABLE orchestration_audit ENABLE ALWAYS TRIGGER append_only_row;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ai_analysis_audit FOR EACH STATEMENT EXECUTE FUNCTION holdfast_refuse();
ALTER TABLE ai_analysis_audit ENABLE ALWAYS TRIGGER append_only;
CREATE TRIGGER append_only_row BEFORE UPDATE OR DELETE ON ai_analysis_audit FOR EACH ROW EXECUTE FUNCTION holdfast_refuse();
ALTER TABLE ai_analysis_audit ENABLE ALWAYS TRIGGER append_only_row;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON workflow_execution_audit FOR EACH STATEMENT EXECUTE FUNCTION holdfast_refuse();
ALTER TABLE workflow_execution_audit ENABLE ALWAYS TRIGGER append_only;
CREATE TRIGGER append_only_row BEFORE UPDATE OR DELETE ON workflow_execution_audit FOR EACH ROW EXECUTE FUNCTION holdfast_refuse();
ALTER TABLE workflow_execution_audit ENABLE ALWAYS TRIGGER append_only_row;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON notification_audit FOR EACH STATEMENT EXECUTE FUNCTION holdfast_refuse();
ALTER TABLE notification_audit ENABLE ALWAYS TRIGGER append_only;
CREATE TRIGGER append_only_row BEFORE UPDATE OR DELETE ON notification_audit FOR EACH ROW EXECUTE FUNCTION holdfast_refuse();
ALTER TABLE notification_audit ENABLE ALWAYS TRIGGER append_only_row;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON resource_audit FOR EACH STATEMENT EXECUTE FUNCTION holdfast_refuse();
ALTER TABLE resource_audit ENABLE ALWAYS TRIGGER append_only;
CREATE TRIGGER append_only_row BEFORE UPDATE OR DELETE ON resource_audit FOR EACH ROW EXECUTE FUNCTION holdfast_refuse();
ALTER TABLE resource_audit ENABLE ALWAYS TRIGGER append_only_row;

CREATE TRIGGER append_only BEFORE DELETE OR TRUNCATE ON audit_dead_letter FOR EACH STATEMENT EXECUTE FUNCTION holdfast_refuse();
ALTER TABLE audit_dead_letter ENABLE ALWAYS TRIGGER append_only;
CREATE TRIGGER append_only_row BEFORE DELETE ON audit_dead_letter FOR EACH ROW EXECUTE FUNCTION holdfast_refuse();
ALTER TABLE audit_dead_letter ENABLE ALWAYS TRIGGER append_only_row;
CREATE TRIGGER only_attempts_change BEFORE UPDATE ON audit_dead_letter FOR EACH ROW EXECUTE FUNCTION holdfast_refuse_but_attempts();
ALTER TABLE audit_dead_letter ENABLE ALWAYS TRIGGER only_attempts_change;
