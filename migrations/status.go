package migrations

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/pressly/goose/v3"
)

var (
	// ErrMissing says that the database has no audit tables, or lost some.
	ErrMissing = errors.New("the audit tables are missing")
	// ErrOlder says that migrations are pending.
	ErrOlder = errors.New("the database schema is older than this release")
	// ErrDevelopment says that the tables are of a version before the first release, which no migration leads away from.
	ErrDevelopment = errors.New("the database schema is from a development version")
	// ErrNewer means that a newer release has migrated the database.
	ErrNewer = errors.New("the database schema is newer than this release")
)

// State of one migration in one database.
type State string

const (
	// Applied is in the database.
	Applied State = "applied"
	// Pending is what Up would apply.
	Pending State = "pending"
	// Unknown was applied by a newer release.
	Unknown State = "unknown"
)

// Version is one migration and its state.
type Version struct {
	Version int64  `json:"version"`
	Name    string `json:"name"`
	State   State  `json:"state"`
	// AppliedAt is nil unless the migration was applied.
	AppliedAt *time.Time `json:"appliedAt,omitempty"`
}

// Status lists the migrations of this release and of the database, by version. It only reads: a login in holdfast_reader is sufficient.
func Status(ctx context.Context, url string) ([]Version, error) {
	db, err := open(url)
	if err != nil {
		return nil, fmt.Errorf("migration status: %w", err)
	}
	defer db.Close()
	is, err := look(ctx, db)
	if err != nil {
		return nil, fmt.Errorf("migration status: %w", explain(err))
	}
	return merge(known(files), is.applied), nil
}

// Check returns nil if the database has the schema of this release. Otherwise the error says what is wrong and what to run, and wraps ErrMissing, ErrOlder,
// ErrDevelopment or ErrNewer; or it is a connection error. It only reads.
func Check(ctx context.Context, db *sql.DB) error {
	if err := check(ctx, db, files); err != nil {
		return fmt.Errorf("check the database schema: %w", explain(err))
	}
	return nil
}

func check(ctx context.Context, db *sql.DB, from fs.FS) error {
	is, err := look(ctx, db)
	if err != nil {
		return err
	}
	at, want := latest(is.applied), newest(from)
	if at == 0 {
		return fmt.Errorf("%w in database %s; run `holdfast migrate up`", ErrMissing, is.name)
	}
	if at > want {
		return newer(at, want)
	}
	for _, v := range merge(known(from), is.applied) {
		if v.State == Pending {
			return fmt.Errorf("%w: it is at version %d and %s is pending; run `holdfast migrate up`", ErrOlder, at, v.Name)
		}
	}
	if is.missing != "" {
		return fmt.Errorf("%w: database %s lacks %s although its schema version is current; restore them from a backup", ErrMissing, is.name, is.missing)
	}
	return is.released()
}

func newer(at, want int64) error {
	return fmt.Errorf("%w: it is at version %d, this release supports %d; run a release that supports version %d", ErrNewer, at, want, at)
}

// schemaState is what the system catalogue and goose's table say of a database.
type schemaState struct {
	name    string
	applied []Version
	// missing are tables that somebody dropped although the version may say that they were made.
	missing string
	// lacking are columns that tables of a release have, each as table.column.
	lacking string
}

// once sends a statement that is used once: in one round trip, and the server keeps no plan of it.
const once = pgx.QueryExecModeExec

// look reads the state. It does not make goose's table, as goose's own status does.
func look(ctx context.Context, db *sql.DB) (*schemaState, error) {
	var is schemaState
	var versioned bool
	err := db.QueryRowContext(ctx, `SELECT current_database(), to_regclass($1::text) IS NOT NULL,
		coalesce((SELECT string_agg(name, ', ' ORDER BY name) FROM unnest(ARRAY['orchestration_audit', 'ai_analysis_audit',
			'workflow_execution_audit', 'notification_audit', 'resource_audit', 'audit_dead_letter']) AS name WHERE to_regclass(name) IS NULL), ''),
		coalesce((SELECT string_agg(name, ', ' ORDER BY name) FROM unnest($2::text[]) AS name, split_part(name, '.', 1) AS of, split_part(name, '.', 2) AS wanted
			WHERE to_regclass(of) IS NOT NULL AND NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass(of) AND attname = wanted AND NOT attisdropped)), '')`,
		once, versionTable, firstColumns()).Scan(&is.name, &versioned, &is.missing, &is.lacking)
	if err != nil {
		return nil, fmt.Errorf("look up the audit tables: %w", err)
	}
	if versioned {
		is.applied, err = versions(ctx, db)
	}
	return &is, err
}

// released refuses the tables of a development version. Its migrations had the numbers of the first release's, so their versions say nothing; the columns do. It compares
// names, not types, triggers or rights.
func (is *schemaState) released() error {
	if is.lacking == "" {
		return nil
	}
	return fmt.Errorf("%w: database %s has no %s, and cannot be migrated; create a new database, run `holdfast migrate up` on it, and keep the old one for its rows",
		ErrDevelopment, is.name, is.lacking)
}

// firstColumns are the columns that the first migration makes, each as table.column. Every release has them; what later migrations add is their version's.
func firstColumns() []string {
	text, err := files.ReadFile("sql/00001_tables.sql")
	if err != nil {
		panic("migrations: " + err.Error()) // embedded when the program was built
	}
	var names []string
	table := ""
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(line, "CREATE TABLE "); ok {
			table, _, _ = strings.Cut(name, " ")
		} else if strings.HasPrefix(line, ")") {
			table = ""
		}
		// A column is indented by four spaces, and constraints begin with a capital.
		if column, ok := strings.CutPrefix(line, "    "); ok && table != "" && column[0] >= 'a' && column[0] <= 'z' {
			name, _, _ := strings.Cut(column, " ")
			names = append(names, table+"."+name)
		}
	}
	return names
}

// versions reads goose's table.
func versions(ctx context.Context, db *sql.DB) ([]Version, error) {
	rows, err := db.QueryContext(ctx, "SELECT DISTINCT ON (version_id) version_id, is_applied, tstamp FROM "+versionTable+" WHERE version_id > 0 ORDER BY version_id, id DESC", once)
	if err != nil {
		return nil, readable(err)
	}
	defer rows.Close()
	var found []Version
	for rows.Next() {
		v := Version{State: Unknown, AppliedAt: new(time.Time)}
		var isApplied bool
		if err := rows.Scan(&v.Version, &isApplied, v.AppliedAt); err != nil {
			return nil, readable(err)
		}
		if isApplied {
			found = append(found, v)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, readable(err)
	}
	return found, nil
}

func readable(err error) error {
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == "42501" {
		return fmt.Errorf("read %s: %w; make the database login a member of holdfast_writer or holdfast_reader", versionTable, err)
	}
	return fmt.Errorf("read %s: %w", versionTable, err)
}

// known lists the migrations of this release, by version.
func known(from fs.FS) []Version {
	names, err := fs.Glob(from, "sql/*.sql")
	if err != nil || len(names) == 0 {
		panic("migrations: no SQL is embedded") // decided when the program was built
	}
	var all []Version
	for _, name := range names {
		version, err := goose.NumericComponent(name)
		if err != nil {
			panic("migrations: " + err.Error())
		}
		all = append(all, Version{Version: version, Name: strings.TrimPrefix(name, "sql/"), State: Pending})
	}
	slices.SortFunc(all, func(a, b Version) int { return int(a.Version - b.Version) })
	return all
}

func newest(from fs.FS) int64 { return latest(known(from)) }

func latest(of []Version) int64 {
	var at int64
	for _, v := range of {
		at = max(at, v.Version)
	}
	return at
}

func merge(known, found []Version) []Version {
	all := slices.Clone(known)
	for _, v := range found {
		i := slices.IndexFunc(all, func(k Version) bool { return k.Version == v.Version })
		if i < 0 {
			all = append(all, v)
			continue
		}
		all[i].State, all[i].AppliedAt = Applied, v.AppliedAt
	}
	return all
}
