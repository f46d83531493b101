package plugin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-dev/holdfast/migrations"
	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/postgres"
)

// database is --database-url, for verbs that also read rows.
type database struct {
	url, cluster string
}

func (d *database) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&d.url, "database-url", "", "PostgreSQL URL of a login in holdfast_reader (env HOLDFAST_DATABASE_URL; default: no database)")
	cmd.Flags().StringVar(&d.cluster, "cluster-name", "", "--cluster-name of the manager of this cluster")
}

// address is the flag, or its variable.
func (d *database) address() string {
	if d.url != "" {
		return d.url
	}
	return strings.TrimSpace(os.Getenv("HOLDFAST_DATABASE_URL"))
}

// open opens the database, whose schema must fit this program.
func (d *database) open(ctx context.Context) (*postgres.Store, error) {
	s, err := postgres.Open(ctx, d.address(), postgres.Options{Cluster: d.cluster})
	if err != nil {
		return nil, err
	}
	if err := migrations.Check(ctx, s.DB().DB); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// databaseState is what status says of the database.
type databaseState struct {
	// Schema is current, missing, older, newer or development.
	Schema      string `json:"schema"`
	Advice      string `json:"advice,omitempty"`
	DeadLetters int    `json:"deadLetters"`
}

func (d *databaseState) text(p *page) {
	p.line("schema %s, %s", d.Schema, counted(d.DeadLetters, "dead letter"))
}

func (d *databaseState) problems() []problem {
	var all []problem
	if d.Schema != schemaCurrent {
		all = append(all, problem{"The database schema does not fit this release: " + d.Advice, "holdfast migrate status"})
	}
	if n := d.DeadLetters; n > 0 {
		all = append(all, problem{counted(n, "dead letter") + are(n, " waits", " wait") + " to be redriven.", "holdfast dead-letter list"})
	}
	return all
}

const schemaCurrent = "current"

// schemaOf is the state of a schema, as an error of migrations.Check says; false if the error is another.
func schemaOf(err error) (string, bool) {
	switch {
	case err == nil:
		return schemaCurrent, true
	case errors.Is(err, migrations.ErrMissing):
		return "missing", true
	case errors.Is(err, migrations.ErrOlder):
		return "older", true
	case errors.Is(err, migrations.ErrNewer):
		return "newer", true
	case errors.Is(err, migrations.ErrDevelopment):
		return "development", true
	}
	return "", false
}

// state is nil without a database.
func (d *database) state(ctx context.Context) (*databaseState, error) {
	if d.address() == "" {
		return nil, nil
	}
	s, err := postgres.Open(ctx, d.address(), postgres.Options{Cluster: d.cluster})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	err = migrations.Check(ctx, s.DB().DB)
	state := &databaseState{}
	var known bool
	if state.Schema, known = schemaOf(err); !known {
		return nil, fmt.Errorf("check the database: %w", err)
	}
	if err != nil {
		state.Advice = err.Error()
		return state, nil
	}
	err = s.DeadLetters(ctx, postgres.Letters{}, func(models.DeadLetter) error {
		state.DeadLetters++
		return nil
	})
	return state, err
}
