//go:build unix

package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"
)

// helperVariable makes the test binary another program: one that starts servers, prints their process ids, and waits to
// be killed.
const helperVariable = "HOLDFAST_LOCALCLUSTER_HELPER"

func TestMain(m *testing.M) {
	if os.Getenv(helperVariable) != "" {
		if err := startAndWait(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

func startAndWait() error {
	ctx := context.Background()
	c, err := Start(ctx, Options{})
	if err != nil {
		return err
	}
	p, err := StartPostgres(ctx, PostgresOptions{})
	if err != nil {
		return err
	}
	report := helperReport{
		Pids:    append(c.pids(), p.server.cmd.Process.Pid),
		Folders: []string{c.dir.path, p.state.path},
		URL:     p.URL(),
	}
	if err := json.NewEncoder(os.Stdout).Encode(report); err != nil {
		return err
	}
	select {}
}

type helperReport struct {
	Pids    []int
	Folders []string
	URL     string
}
