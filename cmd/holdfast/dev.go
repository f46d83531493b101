//go:build unix

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/holdfast-dev/holdfast/internal/local/dev"
)

func newDevCommand() *cobra.Command {
	o := dev.Options{}
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run a whole Holdfast on this machine until it is interrupted",
		Long: `Start etcd, the Kubernetes servers with one simulated node, and PostgreSQL on loopback, install the kinds, roles, policies and tables, run the manager and
the storage service, and keep all of it running until SIGINT or SIGTERM. Then cluster and database are gone, with everything in them.

The state folder gets 'kubeconfig' (cluster-admin) and, when everything is ready, 'env' with the variables that the other commands take. KUBECONFIG and
HOLDFAST_* of the environment are ignored. The first start downloads the servers, or compiles them from their Go modules, which takes some minutes; later ones take seconds.`,
		Example: `  holdfast dev --state-dir .dev
  export $(cat .dev/env)         # in another terminal, once the file is there
  kubectl get holdfast -A
  curl "$HOLDFAST_STORAGE_URL/openapi.json"

  # Somebody who decides on recommendations, beside the cluster-admin of the kubeconfig
  kubectl create namespace shop
  kubectl -n shop create rolebinding jane --clusterrole holdfast-approver --user jane@example.com
  kubectl -n shop --as jane@example.com get holdfast

  # Only the servers, with kinds, policies and tables; run your own manager
  holdfast dev --infra-only`,
		Args:              noArguments,
		PersistentPreRunE: func(*cobra.Command, []string) error { return checkProxies(os.LookupEnv) }, // no other variable is read
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
			fmt.Fprintf(o.Progress, "\nReady. In another terminal:\n\n  export $(cat %s)\n  kubectl get holdfast -A\n\nCtrl-C stops everything.\n", filepath.Join(stack.Dir, "env"))
			err = stack.Wait(ctx)
			fmt.Fprintln(o.Progress, "Stopping.")
			return errors.Join(err, stack.Stop())
		},
	}
	cmd.Flags().StringVar(&o.Dir, "state-dir", ".dev", "folder for kubeconfig, env, logs and data")
	cmd.Flags().BoolVar(&o.InfraOnly, "infra-only", false, "servers, kinds, policies and tables only, without Holdfast's services")
	return cmd
}
