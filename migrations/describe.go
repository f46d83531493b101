package migrations

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// descriptions read the schema from the catalog, not from a version's pg_dump: each gives lines. What goose makes by itself is left out, but not its rights.
var descriptions = []string{
	`SELECT format('table %s owner %s', relname, pg_get_userbyid(relowner))
	   FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r','p','v','m') ORDER BY relname`,
	`SELECT format('column %s.%s %s%s%s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN ' not null' ELSE '' END,
	        coalesce(CASE a.attgenerated WHEN '' THEN ' default ' ELSE ' generated ' END || pg_get_expr(d.adbin, d.adrelid), ''))
	   FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
	  WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped AND c.relname <> 'holdfast_migrations'
	  ORDER BY c.relname, a.attnum`,
	`SELECT format('table %s with %s', relname, array_to_string(reloptions, ', ')) FROM pg_class
	  WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND reloptions IS NOT NULL ORDER BY relname`,
	`SELECT format('constraint %s %s', conrelid::regclass, pg_get_constraintdef(oid))
	   FROM pg_constraint WHERE connamespace = current_schema()::regnamespace AND contype <> 'n' AND conrelid <> 'holdfast_migrations'::regclass
	  ORDER BY 1`,
	`SELECT 'index ' || regexp_replace(indexdef, ' ON [^ .]+\.', ' ON ') FROM pg_indexes WHERE schemaname = current_schema() AND tablename <> 'holdfast_migrations' ORDER BY 1`,
	`SELECT format('trigger %s enabled=%s', regexp_replace(pg_get_triggerdef(oid), ' ON [^ .]+\.', ' ON '), tgenabled) FROM pg_trigger WHERE NOT tgisinternal ORDER BY tgrelid::regclass::text, tgname`,
	`SELECT format('function %s owner %s%s %s', proname, pg_get_userbyid(proowner), CASE WHEN prosecdef THEN ' security definer' ELSE '' END, regexp_replace(prosrc, '\s+', ' ', 'g'))
	   FROM pg_proc WHERE pronamespace = current_schema()::regnamespace ORDER BY proname`,
	`SELECT format('grant %s on %s to %s', string_agg(x.privilege_type, ', ' ORDER BY x.privilege_type), c.relname, pg_get_userbyid(x.grantee))
	   FROM pg_class c, aclexplode(c.relacl) x WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND x.grantee <> c.relowner
	  GROUP BY c.relname, x.grantee ORDER BY 1`,
	`SELECT format('grant %s on %s (%s) to %s', x.privilege_type, c.relname, string_agg(a.attname, ', ' ORDER BY a.attnum), pg_get_userbyid(x.grantee))
	   FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid, aclexplode(a.attacl) x WHERE c.relnamespace = current_schema()::regnamespace
	  GROUP BY c.relname, x.privilege_type, x.grantee ORDER BY 1`,
	`SELECT format('grant EXECUTE on %s to %s', p.proname, CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(x.grantee)::text END)
	   FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) x WHERE p.pronamespace = current_schema()::regnamespace AND x.grantee <> p.proowner ORDER BY 1`,
	`SELECT format('role %s login=%s', rolname, rolcanlogin) FROM pg_roles WHERE rolname LIKE 'holdfast\_%' AND NOT rolcanlogin ORDER BY 1`,
}

// Describe writes the schema as text, a line for each table, column, index, trigger, right and role: two databases with one text have one schema.
func Describe(ctx context.Context, db *sql.DB) (string, error) {
	var text strings.Builder
	for _, query := range descriptions {
		if err := describe(ctx, db, query, &text); err != nil {
			return "", fmt.Errorf("describe the database schema: %w", explain(err))
		}
	}
	return text.String(), nil
}

func describe(ctx context.Context, db *sql.DB, query string, text *strings.Builder) error {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return err
		}
		text.WriteString(line + "\n")
	}
	return rows.Err()
}
