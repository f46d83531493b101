package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/pflag"

	"github.com/holdfast-dev/holdfast/internal/command"
	"github.com/holdfast-dev/holdfast/internal/credential"
	"github.com/holdfast-dev/holdfast/migrations"
	"github.com/holdfast-dev/holdfast/postgres"
	"github.com/holdfast-dev/holdfast/relay"
	"github.com/holdfast-dev/holdfast/storageclient"
)

// storeFlags say where a manager's relay drains to: a database, or the Data Storage API in front of one.
type storeFlags struct {
	databaseURL string
	poolSize    int

	storeURL string
	client   storageclient.Options

	cluster string
}

func (f *storeFlags) add(flags *pflag.FlagSet) {
	command.AddDatabaseURL(flags, &f.databaseURL)
	flags.IntVar(&f.poolSize, "database-pool-size", 0, "max database connections (0: pool_max_conns of the URL, else the larger of 4 and the number of CPUs)")
	flags.StringVar(&f.storeURL, "store-url", "", "URL of a Data Storage API to use instead of a database (env HOLDFAST_STORE_URL)")
	flags.StringVar(&f.client.TokenFile, "store-token-file", "", "file with the bearer token for --store-url, read for each request")
	flags.StringVar(&f.client.Token, "store-token", "", "bearer token for --store-url (prefer env HOLDFAST_STORE_TOKEN or HOLDFAST_STORAGE_TOKEN)")
	flags.StringVar(&f.client.CAFile, "store-ca-file", "", "PEM CA bundle for --store-url (default: system roots)")
	flags.BoolVar(&f.client.SkipVerify, "store-insecure-skip-tls-verify", false, "skip certificate verification for --store-url; loopback only")
	flags.StringVar(&f.cluster, "cluster-name", "", "name of this cluster in the rows; required when clusters share a database")
}

// opened is a store, how to ask it at the start whether it can be used, and what ends it.
type opened struct {
	store relay.Store
	check func(context.Context) error
	close func()
}

func (f *storeFlags) open(ctx context.Context) (opened, error) {
	switch {
	case f.databaseURL != "" && f.storeURL != "":
		return opened{}, errors.New("--database-url (HOLDFAST_DATABASE_URL) and --store-url (HOLDFAST_STORE_URL) are both set, expected one; unset the other")
	case f.storeURL != "":
		return f.openService()
	case f.databaseURL != "":
		return f.openDatabase(ctx)
	}
	return opened{}, errors.New("no store is set: give --database-url (HOLDFAST_DATABASE_URL), as in postgres://user:password@host:5432/holdfast, or --store-url (HOLDFAST_STORE_URL), the URL of a Data Storage API")
}

func (f *storeFlags) openDatabase(ctx context.Context) (opened, error) {
	s, err := postgres.Open(ctx, f.databaseURL, postgres.Options{Cluster: f.cluster, PoolSize: f.poolSize})
	if err != nil {
		return opened{}, err
	}
	return opened{store: s, check: func(ctx context.Context) error { return checkDatabase(ctx, s) }, close: s.Close}, nil
}

// checkDatabase reports why a database cannot take rows: its schema does not fit, or it is read-only.
func checkDatabase(ctx context.Context, s *postgres.Store) error {
	if err := s.Writable(ctx); err != nil {
		return err
	}
	return migrations.Check(ctx, s.DB().DB)
}

func (f *storeFlags) openService() (opened, error) {
	o := f.client
	o.UserAgent = "holdfast-relay/" + versionText()
	if of := "HOLDFAST_STORAGE_TOKEN"; o.Token == "" && o.TokenFile == "" && os.Getenv(of) != "" {
		token, err := credential.Token(os.Getenv(of))
		if err != nil {
			return opened{}, fmt.Errorf("variable %s (token for --store-url): %w", of, err)
		}
		o.Token = token
	}
	c, err := storageclient.New(f.storeURL, o)
	if err != nil {
		return opened{}, err
	}
	s := c.Store(f.cluster)
	return opened{store: s, check: s.Check, close: func() {}}, nil
}
