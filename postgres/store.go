package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"github.com/holdfast-dev/holdfast/internal/dsn"
	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/relay"
)

// Options of a Store. The zero value works.
type Options struct {
	// Cluster names the Kubernetes cluster in rows (source_cluster); empty is NULL. Give one when several clusters share a database.
	Cluster string
	// PoolSize bounds the connections. By default it is pool_max_conns of the URL, else 4 or the number of CPUs, whichever is greater.
	PoolSize int
	// StatementTimeout bounds each statement on the server; 10 seconds by default. The caller's context bounds the whole.
	StatementTimeout time.Duration
	// Tracer is told each statement; nil for none.
	Tracer pgx.QueryTracer
}

const defaultStatementTimeout = 10 * time.Second

// Store is a database with the audit tables. It is safe for concurrent use.
type Store struct {
	pool    *pgxpool.Pool
	db      *bun.DB
	options Options
	tables  map[string]*table
	// redrives is true where the database is asked about each value: its columns may be wider by now than this release knows.
	redrives bool
}

var (
	_ relay.Store      = (*Store)(nil)
	_ relay.Identified = (*Store)(nil)
)

// Open returns a Store. It does not connect: if the database is away, later calls fail, not Open. Its errors are about the URL or the options
// (dsn.ErrInvalid), and never contain the password.
func Open(ctx context.Context, url string, o Options) (*Store, error) {
	config, err := dsn.Parse(url)
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	switch {
	case o.PoolSize < 0 || o.PoolSize > math.MaxInt32:
		return nil, fmt.Errorf("open the store: pool size is %d, expected 1 or more, or 0 for the default", o.PoolSize)
	case o.StatementTimeout < 0:
		return nil, fmt.Errorf("open the store: statement timeout is %s, expected a positive duration, or 0 for the default", o.StatementTimeout)
	case len(o.Cluster) > 255:
		return nil, fmt.Errorf("open the store: cluster name has %d bytes, expected at most 255", len(o.Cluster))
	}
	if o.PoolSize > 0 {
		config.MaxConns = int32(o.PoolSize)
	}
	if o.StatementTimeout == 0 {
		o.StatementTimeout = defaultStatementTimeout
	}
	config.ConnConfig.OnNotice = noteGivenUp
	config.ConnConfig.Tracer = o.Tracer
	failpoints(config)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	db := sql.OpenDB(dsn.Connector(stdlib.GetPoolConnector(pool)))
	db.SetMaxIdleConns(0) // the pool keeps them
	s := &Store{pool: pool, db: bun.NewDB(db, pgdialect.New()), options: o, tables: map[string]*table{}}
	for _, row := range models.NewRows() {
		t, err := describe(s.db, row)
		if err != nil {
			s.Close()
			return nil, fmt.Errorf("open the store: %w", err)
		}
		s.tables[t.name] = t
	}
	nameTable(s.db, &models.DeadLetter{}, models.TableDeadLetter)
	return s, nil
}

// ForCluster returns a Store for entries of another cluster. It shares the connections of s, and is closed with s.
func (s *Store) ForCluster(name string) *Store {
	there := *s
	there.options.Cluster = name
	return &there
}

// DB returns the database, for queries that this package does not have.
func (s *Store) DB() *bun.DB { return s.db }

// Close closes the connections. It waits for those in use.
func (s *Store) Close() {
	_ = s.db.Close() // closes nothing by itself: the connections are the pool's
	s.pool.Close()
}

// Ping reports whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.db.PingContext(ctx); err != nil {
		return fmt.Errorf("reach the store: %w", dsn.Explain(err))
	}
	return nil
}
