-- +goose Up
-- Whoever posts a record again, under an id that is taken, must learn whether it is the same record. Records that were posted have no hash, so the writer has to compare
-- their text; but it may not read what others wrote. This function compares for it, as the owner: it says yes or no, and nothing else.
--
-- The schema is named in its search path, since it runs with the owner's rights: no caller's search path decides which table it reads.

-- +goose StatementBegin
DO $$
BEGIN
    EXECUTE format($make$
        CREATE FUNCTION holdfast_same_entry(audit_table text, ids uuid[], entries text[]) RETURNS TABLE (place bigint, same boolean)
        LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, %I, pg_temp AS $body$
        BEGIN
            IF audit_table NOT IN ('orchestration_audit', 'ai_analysis_audit', 'workflow_execution_audit', 'notification_audit') THEN
                RAISE EXCEPTION '%% takes no posted records', audit_table USING ERRCODE = 'invalid_parameter_value';
            END IF;
            RETURN QUERY EXECUTE format('SELECT p.place, t.entry = p.entry FROM unnest($1, $2) WITH ORDINALITY AS p(id, entry, place) JOIN %%I AS t ON t.id = p.id', audit_table)
                USING ids, entries;
        END
        $body$
    $make$, current_schema());
END
$$;
-- +goose StatementEnd

ALTER FUNCTION holdfast_same_entry(text, uuid[], text[]) OWNER TO holdfast_owner;
REVOKE ALL ON FUNCTION holdfast_same_entry(text, uuid[], text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION holdfast_same_entry(text, uuid[], text[]) TO holdfast_writer;
