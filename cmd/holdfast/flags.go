package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// variable is the name of the environment variable that stands for a flag.
func variable(flag string) string {
	if flag == "kubeconfig" {
		return "KUBECONFIG"
	}
	return "HOLDFAST_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// fromEnvironment sets every flag that was not given from its variable.
func fromEnvironment(flags *pflag.FlagSet, lookup func(string) (string, bool)) error {
	var errs []error
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Changed || f.Name == "help" || f.Name == "version" {
			return
		}
		value, ok := lookup(variable(f.Name))
		if !ok || value == "" {
			return
		}
		if err := flags.Set(f.Name, value); err != nil {
			errs = append(errs, fmt.Errorf("variable %s is %q: %w", variable(f.Name), value, err))
		}
	})
	return errors.Join(errs...)
}

// addKubeconfig adds --kubeconfig.
func addKubeconfig(flags *pflag.FlagSet, into *string) {
	flags.StringVar(into, "kubeconfig", "", "kubeconfig file of the cluster (variable KUBECONFIG); empty: the cluster that this runs in, or ~/.kube/config")
}

// addDatabaseURL adds --database-url.
func addDatabaseURL(flags *pflag.FlagSet, into *string) {
	flags.StringVar(into, "database-url", "", "PostgreSQL with the audit tables, postgres://user:password@host:5432/database (variable HOLDFAST_DATABASE_URL)")
}

// restConfig reads a kubeconfig; without one it is that of the Pod, or of the user's ~/.kube/config.
func restConfig(kubeconfig string) (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	switch files := filepath.SplitList(kubeconfig); {
	case len(files) == 1:
		rules.ExplicitPath = kubeconfig // which must exist, unlike one of several
	case len(files) > 1:
		rules.Precedence = files
	}
	c, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{}).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("find the cluster: %w; give --kubeconfig or KUBECONFIG", err)
	}
	c.QPS = -1 // the API server's own fairness is the limit
	return c, nil
}
