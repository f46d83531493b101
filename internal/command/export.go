package command

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/holdfast-dev/holdfast/internal/breakglass"
	"github.com/holdfast-dev/holdfast/internal/verify"
)

// exportFlags are the settings of `holdfast export`.
type exportFlags struct {
	connection
	cluster, file string
	resources     []string
}

// Export makes the command export.
func (p Program) Export() *cobra.Command {
	f := &exportFlags{connection: connection{program: p}}
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the pending entries of live resources to a file",
		Long: `Write the pending audit entries of live resources as JSON lines, for 'holdfast import'. The command
only reads, and needs the verb list on the resources. The file may contain entries that are already
rows; importing them again changes nothing.

The file appears only when it is complete. Only its owner can read it. An existing file is never
replaced. The file contains the records in clear text.

Exit status: 0 the export is complete, 2 the export failed.`,
		Example: `  holdfast export --file pending.jsonl
  holdfast export --namespace shop | jq -r 'select(.entry) | "\(.source.name) \(.entry.sequence) \(.entry.event)"'

  # Include the resources of another operator
  holdfast export --resource backups.v1alpha1.backups.example.com --file pending.jsonl`,
		Args: NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	f.addKubeconfig(flags)
	if p.Kubectl == nil {
		flags.StringVarP(&f.namespace, "namespace", "n", "", "namespace of the resources (default: all namespaces)")
	} else {
		flags.BoolVarP(&f.allNamespaces, "all-namespaces", "A", false, "resources of all namespaces")
	}
	flags.StringVar(&f.file, "file", "", "output file (default: standard output)")
	addExported(flags, &f.cluster, &f.resources)
	return p.finish(cmd)
}

// addExported adds what export and release have in common.
func addExported(flags *pflag.FlagSet, cluster *string, resources *[]string) {
	flags.StringVar(cluster, "cluster-name", "", "--cluster-name of the manager, recorded for the import")
	flags.StringSliceVar(resources, "resource", nil, "additional resource with an outbox, named as for kubectl, or KIND=RESOURCE.VERSION.GROUP; repeatable")
}

func (f *exportFlags) run(ctx context.Context, to, messages io.Writer) error {
	cluster, types, err := f.connect()
	if err != nil {
		return err
	}
	namespace, err := f.chosen()
	if err != nil {
		return err
	}
	file, err := breakglass.NewFile(f.file, f.header(cluster))
	if err != nil {
		return err
	}
	defer file.Close()
	absent, err := cluster.Each(ctx, types, namespace, file.Add)
	if err != nil {
		return err
	}
	warnAbsent(messages, absent)
	place := "standard output"
	if f.file == "" {
		err = file.CopyTo(to)
	} else {
		place = f.file
		err = file.Save(f.file)
	}
	if err == nil {
		fmt.Fprintf(messages, "Exported %s to %s.\n", contents(file.Header()), place)
	}
	return err
}

// connect finds the cluster and the resources: Holdfast's own, and those that were named.
func (f *exportFlags) connect() (*breakglass.Cluster, []schema.GroupVersionResource, error) {
	config, err := f.config()
	if err != nil {
		return nil, nil, err
	}
	cluster, err := breakglass.Connect(config)
	if err != nil {
		return nil, nil, err
	}
	types := verify.DefaultResources().Sorted()
	for _, name := range f.resources {
		_, after, found := strings.Cut(name, "=") // KIND=RESOURCE.VERSION.GROUP, as verify takes it
		if found {
			name = after
		}
		gvr, err := cluster.Resolve(name)
		if err != nil {
			return nil, nil, fmt.Errorf("--resource: %w", err)
		}
		if !slices.Contains(types, gvr) {
			types = append(types, gvr)
		}
	}
	return cluster, types, nil
}

func (f *exportFlags) header(cluster *breakglass.Cluster) breakglass.Header {
	return breakglass.Header{Version: f.program.Version, Cluster: f.cluster, Server: cluster.Server, Time: time.Now().UTC()}
}

func warnAbsent(to io.Writer, absent []string) {
	for _, resource := range absent {
		fmt.Fprintf(to, "Note: the cluster does not serve %s.\n", resource)
	}
}

func contents(h breakglass.Header) string {
	entries := fmt.Sprintf("%d entries", h.Entries)
	if h.Entries == 1 {
		entries = "1 entry"
	}
	return fmt.Sprintf("%s of %s", entries, counted(h.Resources, "resource"))
}
