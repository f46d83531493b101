package migrations

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
	"github.com/pressly/goose/v3/lock"

	"github.com/holdfast-dev/holdfast/internal/dsn"
)

//go:embed sql/*.sql
var files embed.FS

// versionTable is goose's record of what was applied.
const versionTable = "holdfast_migrations"

const (
	// lockID keeps the session lock apart from that of another program that uses goose on the same database. The digits are "holdfast" on a phone.
	lockID = 46533278
	// lockTries, one per second, is how long a run waits for another one.
	lockTries = 600
)

// Up applies the pending migrations, and reports each one to progress (nil: no output). Concurrent runs wait for each other, and an interrupted run can be repeated. url is
// a database URL whose login may create tables in the first schema of its search path, and roles unless they exist.
func Up(ctx context.Context, url string, progress io.Writer) error {
	db, err := open(url)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	defer db.Close()
	if progress == nil {
		progress = io.Discard
	}
	if err := refusePooler(ctx, db); err != nil {
		return fmt.Errorf("migrate: %w", explain(err))
	}
	is, err := look(ctx, db)
	if err == nil {
		err = is.released()
	}
	if err != nil {
		return fmt.Errorf("migrate: %w", explain(err))
	}
	if err := up(ctx, db, files, progress); err != nil {
		return fmt.Errorf("migrate: %w", explain(err))
	}
	return nil
}

func up(ctx context.Context, db *sql.DB, from fs.FS, progress io.Writer) error {
	if err := refuseNewer(ctx, db, from); err != nil {
		return err
	}
	provider, err := newProvider(db, from)
	if err != nil {
		return err
	}
	results, err := provider.Up(ctx)
	var partial *goose.PartialError
	if errors.As(err, &partial) {
		results = partial.Applied
	}
	for _, r := range results {
		fmt.Fprintf(progress, "applied %s in %s\n", path.Base(r.Source.Path), r.Duration.Round(time.Millisecond))
	}
	if partial != nil {
		return fmt.Errorf("%s failed and was rolled back: %w", path.Base(partial.Failed.Source.Path), partial.Err)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(progress, "the schema is at version %d\n", newest(from))
	return nil
}

// ErrPooler means that the URL leads to a connection pooler. The migration lock would stay on a session of the pooler after the migration has ended.
var ErrPooler = errors.New("the database URL leads to a connection pooler, which would keep the migration lock; use the address of the server itself for migrations")

func refusePooler(ctx context.Context, db *sql.DB) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	var pooled bool
	if err := conn.Raw(func(driver any) (err error) {
		pooled, err = dsn.Pooled(ctx, driver.(*stdlib.Conn).Conn())
		return err
	}); err != nil {
		return err
	}
	if pooled {
		return ErrPooler
	}
	return nil
}

// refuseNewer keeps an old program from reporting success on a schema that a newer one has made.
func refuseNewer(ctx context.Context, db *sql.DB, from fs.FS) error {
	is, err := look(ctx, db)
	if err != nil {
		return err
	}
	if at := latest(is.applied); at > newest(from) {
		return newer(at, newest(from))
	}
	return nil
}

func newProvider(db *sql.DB, from fs.FS) (*goose.Provider, error) {
	sub, err := fs.Sub(from, "sql")
	if err != nil {
		return nil, err
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockID(lockID), lock.WithLockTimeout(1, lockTries))
	if err != nil {
		return nil, err
	}
	store, err := database.NewStore(database.DialectPostgres, versionTable)
	if err != nil {
		return nil, err
	}
	return goose.NewProvider("", db, sub, goose.WithStore(store), goose.WithSessionLocker(locker), goose.WithDisableGlobalRegistry(true))
}

func open(url string) (*sql.DB, error) {
	config, err := dsn.Parse(url)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(dsn.Connector(stdlib.GetConnector(*config.ConnConfig))), nil
}

// explain adds PostgreSQL's hint, which the driver leaves out, and what to do about a connection that failed.
func explain(err error) error {
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Hint != "" {
		return fmt.Errorf("%w; %s", err, refused.Hint)
	}
	return dsn.Explain(err)
}
