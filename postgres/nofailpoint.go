//go:build !failpoint

package postgres

import "github.com/jackc/pgx/v5/pgxpool"

// failpoints does nothing in what is released, see package failpoint.
func failpoints(*pgxpool.Config) {}
