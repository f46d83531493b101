// Package leaks finds goroutines that a suite leaves behind.
package leaks

import (
	"os"

	"go.uber.org/goleak"
)

// Find is an error that lists the goroutines beside those of before. HOLDFAST_OLDEST is set where the oldest versions are tested: pgx before 5.9 leaves a goroutine
// for each connection that ends in the middle of a batch, and every pgx for Go 1.24 is older.
func Find(before goleak.Option) error {
	options := []goleak.Option{before}
	if os.Getenv("HOLDFAST_OLDEST") != "" {
		options = append(options, goleak.IgnoreTopFunction("github.com/jackc/pgx/v5/pgconn/ctxwatch.(*ContextWatcher).Watch.func1"))
	}
	return goleak.Find(options...)
}
