package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/uptrace/bun"

	"github.com/holdfast-dev/holdfast/models"
)

// Clusters returns the names of the clusters whose resources have rows, in order; "" is that of a manager without a name. The question stops at the first row of the cluster that is asked for: the
// answer is then that name alone, without a look at the rest.
func (s *Store) Clusters(ctx context.Context, asked string) ([]string, error) {
	var all []string
	for _, table := range models.Tables() {
		var found bool
		err := s.db.NewRaw("SELECT EXISTS (SELECT 1 FROM ? WHERE source_cluster = ? AND source_uid IS NOT NULL)", bun.Ident(table), asked).Scan(ctx, &found)
		if err != nil {
			return nil, fmt.Errorf("look for rows of cluster %q: %w", asked, explain(err))
		}
		if found {
			return []string{asked}, nil
		}
	}
	for _, table := range models.Tables() {
		var names []string
		err := s.db.NewRaw("SELECT DISTINCT coalesce(source_cluster, '') FROM ? WHERE source_uid IS NOT NULL", bun.Ident(table)).Scan(ctx, &names)
		if err != nil {
			return nil, fmt.Errorf("list the clusters of the rows: %w", explain(err))
		}
		all = append(all, names...)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}
