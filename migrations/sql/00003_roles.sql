-- +goose Up
-- Three group roles, for logins to be members of. Roles belong to the whole server, and other databases may be made at the same time: one that exists already is
-- success. A login without CREATEROLE can run this once somebody has made the roles and has made it a member of holdfast_owner.

-- +goose StatementBegin
DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['holdfast_owner', 'holdfast_writer', 'holdfast_reader'] LOOP
        CONTINUE WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = wanted);
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN
                NULL; -- another database's migration was faster
            WHEN insufficient_privilege THEN
                RAISE EXCEPTION 'role % does not exist, and % may not create it', wanted, current_user USING
                    ERRCODE = 'insufficient_privilege',
                    HINT = format('As a superuser run: CREATE ROLE holdfast_owner NOLOGIN; CREATE ROLE holdfast_writer NOLOGIN; CREATE ROLE holdfast_reader NOLOGIN; GRANT holdfast_owner TO %I;', current_user);
        END;
    END LOOP;
    IF NOT pg_has_role(current_user, 'holdfast_owner', 'USAGE') THEN
        BEGIN
            EXECUTE format('GRANT holdfast_owner TO %I', current_user);
        EXCEPTION
            WHEN unique_violation THEN
                NULL;
            WHEN insufficient_privilege THEN
                RAISE EXCEPTION '% is not a member of holdfast_owner and may not make itself one', current_user USING
                    ERRCODE = 'insufficient_privilege',
                    HINT = format('As a superuser run: GRANT holdfast_owner TO %I;', current_user);
        END;
    END IF;
    FOREACH wanted IN ARRAY ARRAY['holdfast_owner', 'holdfast_writer', 'holdfast_reader'] LOOP
        IF NOT has_schema_privilege(wanted, current_schema(), 'USAGE') THEN
            EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), wanted);
        END IF;
    END LOOP;
    IF NOT has_schema_privilege('holdfast_owner', current_schema(), 'CREATE') THEN
        EXECUTE format('GRANT CREATE ON SCHEMA %I TO holdfast_owner', current_schema()); -- owning a table needs it
    END IF;
END
$$;
-- +goose StatementEnd

ALTER TABLE orchestration_audit OWNER TO holdfast_owner;
ALTER TABLE ai_analysis_audit OWNER TO holdfast_owner;
ALTER TABLE workflow_execution_audit OWNER TO holdfast_owner;
ALTER TABLE notification_audit OWNER TO holdfast_owner;
ALTER TABLE resource_audit OWNER TO holdfast_owner;
ALTER TABLE audit_dead_letter OWNER TO holdfast_owner;
ALTER TABLE holdfast_migrations OWNER TO holdfast_owner;
ALTER FUNCTION holdfast_refuse() OWNER TO holdfast_owner;
ALTER FUNCTION holdfast_refuse_but_attempts() OWNER TO holdfast_owner;

-- The writer adds rows and, when some were there before, compares their hashes. A row that was not inserted and whose id is unknown must have lost its place
-- (source_uid, sequence) to another id: so it needs to read no other column. It reads and counts up dead letters to redrive them.
GRANT SELECT (id, entry_hash) ON orchestration_audit TO holdfast_writer;
GRANT SELECT (id, entry_hash) ON ai_analysis_audit TO holdfast_writer;
GRANT SELECT (id, entry_hash) ON workflow_execution_audit TO holdfast_writer;
GRANT SELECT (id, entry_hash) ON notification_audit TO holdfast_writer;
GRANT SELECT (id, entry_hash) ON resource_audit TO holdfast_writer;
GRANT SELECT, UPDATE (last_attempt, attempts, redriven_at) ON audit_dead_letter TO holdfast_writer;
GRANT SELECT ON holdfast_migrations TO holdfast_writer;

-- INSERT is granted column by column, on all columns but tx and created_at. A row that could name its tx could hide below the place that a follower of the tables has
-- reached; one that could name created_at could claim to have been there before. A generated column cannot be named anyway. A migration that adds a column must grant it.

-- +goose StatementBegin
DO $$
DECLARE
    audit_table text;
    columns text;
BEGIN
    FOREACH audit_table IN ARRAY ARRAY['orchestration_audit', 'ai_analysis_audit', 'workflow_execution_audit', 'notification_audit', 'resource_audit', 'audit_dead_letter'] LOOP
        SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) INTO columns FROM pg_attribute
            WHERE attrelid = audit_table::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' AND attname NOT IN ('tx', 'created_at');
        EXECUTE format('GRANT INSERT (%s) ON %I TO holdfast_writer', columns, audit_table);
    END LOOP;
END
$$;
-- +goose StatementEnd

GRANT SELECT ON orchestration_audit, ai_analysis_audit, workflow_execution_audit, notification_audit, resource_audit, audit_dead_letter, holdfast_migrations TO holdfast_reader;
