//go:build unix

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/holdfast-dev/holdfast/internal/command"
	"github.com/holdfast-dev/holdfast/internal/local/dev"
)

func newDevCommand() *cobra.Command {
	o := dev.Options{LeaderElection: true}
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run a local cluster with Holdfast until interrupted",
		Long: `Start etcd, the Kubernetes servers with one simulated node, and PostgreSQL, all on loopback.
Install the CRDs, roles, policies and tables, and run the manager, the storage and report services
and the gateway. SIGINT or SIGTERM stops everything and deletes the cluster and the database.

The state directory gets 'kubeconfig' (cluster-admin). When everything is ready it also gets 'env',
with the environment variables for the other commands. KUBECONFIG and HOLDFAST_* variables are
ignored. The first start downloads the servers or compiles them, which takes minutes. Later starts
take seconds.`,
		Example: `  holdfast dev --state-dir .dev

  # In another terminal, once .dev/env exists
  export $(cat .dev/env)
  kubectl get holdfast -A
  curl "$HOLDFAST_STORAGE_URL/openapi.json"

  # Alerts of an Alertmanager on this machine: webhook URL and credentials_file
  echo "$HOLDFAST_GATEWAY_URL/api/v1/alertmanager" "$HOLDFAST_GATEWAY_TOKEN_FILE"

  # Let the user jane approve and reject recommendations
  kubectl create namespace shop
  kubectl -n shop create rolebinding jane --clusterrole holdfast-approver --user jane@example.com
  kubectl -n shop --as jane@example.com get holdfast

  # Only the servers, with CRDs, policies and tables; run your own manager
  holdfast dev --infra-only`,
		Args:              command.NoArguments,
		PersistentPreRunE: func(*cobra.Command, []string) error { return command.CheckProxies(os.LookupEnv) }, // no other variable is read
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if err := unsetPostgresVariables(); err != nil {
				return err
			}
			ctx := cmd.Context()
			if o.Program, err = os.Executable(); err != nil {
				return fmt.Errorf("find this program: %w", err)
			}
			o.Progress = cmd.OutOrStdout()
			stack, err := dev.Start(ctx, o)
			if err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				return err
			}
			fmt.Fprintf(o.Progress, "\nReady. In another terminal:\n\n  export $(cat %s) PATH=%s:$PATH\n  kubectl holdfast status -A\n\ndocs/quickstart.md goes on from here. Ctrl-C stops everything.\n",
				filepath.Join(stack.Dir, "env"), filepath.Dir(o.Program))
			err = stack.Wait(ctx)
			fmt.Fprintln(o.Progress, "Stopping.")
			return errors.Join(err, stack.Stop())
		},
	}
	cmd.Flags().StringVar(&o.Dir, "state-dir", ".dev", "directory for kubeconfig, env, logs and data")
	cmd.Flags().StringVar(&o.NarratorURL, "narrator-url", "", "--narrator-url of the report service")
	cmd.Flags().StringVar(&o.NarratorModel, "narrator-model", "", "--narrator-model of the report service")
	cmd.Flags().StringVar(&o.NarratorTokenFile, "narrator-token-file", "", "--narrator-token-file of the report service")
	cmd.Flags().BoolVar(&o.InfraOnly, "infra-only", false, "servers, CRDs, policies and tables only, none of Holdfast's services")
	return cmd
}
