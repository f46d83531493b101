package command

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/holdfast-dev/holdfast/internal/breakglass"
)

// releaseFlags are the settings of `holdfast release`.
type releaseFlags struct {
	exportFlags

	all, yes, dryRun bool
}

// Release makes the command release.
func (p Program) Release() *cobra.Command {
	f := &releaseFlags{exportFlags: exportFlags{connection: connection{program: p}}}
	cmd := &cobra.Command{
		Use:   "release {RESOURCE/NAME... --namespace NAMESPACE | --all {--namespace NAMESPACE | --all-namespaces}} --file FILE",
		Short: "Break-glass: export pending entries, then remove the finalizer from resources stuck in Terminating",
		Long: `Export pending entries, then remove the finalizer from resources stuck in Terminating. Use it when
no manager or no database will come back to do that. The command writes the entries to a new file
and syncs the file to disk before it removes any finalizer. A resource that changes after the export
keeps its finalizer. Store the file in a database later with 'holdfast import'.

Only resources in deletion are released. A record that is still open stays open: its last state is
not audited, and verify reports it as unfinished.

The command asks for confirmation. It needs the verbs list, get, patch and delete on the resources.

Exit status: 0 all resources were released, 1 some were not, 2 the command failed.`,
		Example: `  # Show what is stuck and what would be lost
  holdfast release --all --all-namespaces --file pending.jsonl --dry-run

  # Release one resource
  holdfast release remediationrequest/cart-crash -n shop --file cart-crash.jsonl

  # Release all resources, for example when Holdfast is uninstalled and a CRD is stuck in deletion
  holdfast release --all --all-namespaces --file pending.jsonl`,
		Args: func(_ *cobra.Command, args []string) error { return f.check(args) },
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd.Context(), args, cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	f.addKubeconfig(flags)
	if p.Kubectl == nil {
		flags.StringVarP(&f.namespace, "namespace", "n", "", "namespace of the resources")
	}
	flags.BoolVarP(&f.allNamespaces, "all-namespaces", "A", false, "all namespaces; requires --all")
	flags.BoolVar(&f.all, "all", false, "all resources with an outbox that are stuck in Terminating")
	flags.StringVar(&f.file, "file", "", "new file for the pending entries (required)")
	flags.BoolVar(&f.dryRun, "dry-run", false, "print what would be released and change nothing")
	flags.BoolVar(&f.yes, "yes", false, "no confirmation prompt")
	addExported(flags, &f.cluster, &f.resources)
	return p.finish(cmd)
}

func (f *releaseFlags) check(args []string) error {
	switch {
	case f.all == (len(args) > 0):
		return errors.New("give either --all or RESOURCE/NAME, as in remediationrequest/cart-crash")
	case f.allNamespaces && !f.all:
		return errors.New("--all-namespaces is set without --all; add --all, or give --namespace")
	case f.program.Kubectl == nil && f.allNamespaces == (f.namespace != ""):
		return errors.New("give either --namespace, or --all with --all-namespaces")
	case f.file == "":
		return errors.New("--file is not set: give a new file for the pending entries, which are written before any release")
	}
	return nil
}

func (f *releaseFlags) run(ctx context.Context, names []string, from io.Reader, to io.Writer) error {
	cluster, types, err := f.connect()
	if err != nil {
		return err
	}
	if f.namespace, err = f.chosen(); err != nil {
		return err
	}
	file, err := breakglass.NewFile(f.file, f.header(cluster))
	if err != nil {
		return err
	}
	defer file.Close()
	terminating, err := f.gather(ctx, cluster, types, names, file, to)
	switch {
	case err != nil:
		return err
	case len(terminating) == 0:
		_, err = fmt.Fprintln(to, "No resource is stuck in Terminating because of its outbox.")
		return err
	}
	if err := printTerminating(to, terminating); err != nil || f.dryRun {
		return err
	}
	fmt.Fprintf(to, "%s will be exported to %s. ", contents(file.Header()), f.file)
	if !f.yes && !confirmed(ctx, from, to, len(terminating)) {
		return errors.New("canceled: the answer was not yes, so nothing was written or released; --yes skips the question")
	}
	if err := file.Save(f.file); err != nil {
		return err
	}
	fmt.Fprintf(to, "Wrote %s.\n", f.file)
	return f.release(ctx, cluster, terminating, to)
}

// terminatingResource is one that hangs, without the entries, which lie in the file.
type terminatingResource struct {
	*breakglass.Resource
	entries int
}

// gather reads what hangs, with its entries.
func (f *releaseFlags) gather(ctx context.Context, cluster *breakglass.Cluster, of []schema.GroupVersionResource, names []string, file *breakglass.File, to io.Writer) ([]terminatingResource, error) {
	var terminating []terminatingResource
	seen := map[types.UID]bool{} // one may be named twice
	add := func(r *breakglass.Resource) error {
		if !r.Deleting || !r.HasFinalizer() || seen[r.Source.UID] {
			return nil
		}
		seen[r.Source.UID] = true
		if err := file.Add(r); err != nil {
			return err
		}
		h := terminatingResource{Resource: r}
		if r.Outbox != nil {
			h.entries, r.Outbox.Entries = len(r.Outbox.Entries), nil
		}
		terminating = append(terminating, h)
		return nil
	}
	if f.all {
		absent, err := cluster.Each(ctx, of, f.namespace, add)
		warnAbsent(to, absent)
		return terminating, err
	}
	for _, name := range names {
		r, err := f.find(ctx, cluster, name)
		if err != nil {
			return nil, err
		}
		if err := add(r); err != nil {
			return nil, err
		}
	}
	return terminating, nil
}

func (f *releaseFlags) find(ctx context.Context, cluster *breakglass.Cluster, arg string) (*breakglass.Resource, error) {
	resource, name, ok := strings.Cut(arg, "/")
	if !ok || resource == "" || name == "" {
		return nil, fmt.Errorf("resource is %q, expected RESOURCE/NAME, as in remediationrequest/cart-crash", arg)
	}
	gvr, err := cluster.Resolve(resource)
	if err != nil {
		return nil, err
	}
	r, err := cluster.Get(ctx, gvr, f.namespace, name)
	switch {
	case err != nil:
		return nil, err
	case !r.HasFinalizer():
		return nil, fmt.Errorf("%s does not have the Holdfast finalizer, so Holdfast does not block its deletion", r)
	case !r.Deleting:
		return nil, fmt.Errorf("%s is not in deletion; run kubectl delete --wait=false first, and give a running manager time to finish it", r)
	}
	return r, nil
}

func printTerminating(to io.Writer, terminating []terminatingResource) error {
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "RESOURCE\tNAMESPACE\tNAME\tENTRIES\tLOST ON RELEASE")
	for _, h := range terminating {
		loses := "last state (record is open)"
		switch {
		case h.Outbox.IsZero():
			loses = "whole record (no entry yet)"
		case h.Outbox.Closed:
			loses = "nothing"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\n", h.Type(), h.Source.Namespace, h.Source.Name, h.entries, loses)
	}
	return table.Flush()
}

// confirmed asks. An interruption ends the wait for an answer.
func confirmed(ctx context.Context, from io.Reader, to io.Writer, n int) bool {
	fmt.Fprintf(to, "Remove the finalizer from %s? Type yes to continue: ", counted(n, "resource"))
	answers := make(chan string, 1)
	go func() {
		answer, _ := bufio.NewReader(from).ReadString('\n') // what was typed before the end counts
		answers <- answer
	}()
	select {
	case <-ctx.Done():
		return false
	case answer := <-answers:
		return strings.TrimSpace(answer) == "yes"
	}
}

func (f *releaseFlags) release(ctx context.Context, cluster *breakglass.Cluster, terminating []terminatingResource, to io.Writer) error {
	failed := 0
	for i, h := range terminating {
		err := cluster.Release(ctx, h.Resource)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			failed++
			fmt.Fprintf(to, "%d/%d not released: %s\n", i+1, len(terminating), plain(err.Error()))
			continue
		}
		fmt.Fprintf(to, "%d/%d released %s\n", i+1, len(terminating), h)
	}
	fmt.Fprintf(to, f.program.called("Keep %s. When a database is available, run: holdfast import %s\n"), f.file, shellPath(f.file))
	if failed > 0 {
		return &ExitError{Code: 1, Err: fmt.Errorf("%d of %s were not released, see above", failed, counted(len(terminating), "resource"))}
	}
	return nil
}

// shellPath is a path as it is typed.
func shellPath(path string) string {
	if strings.ContainsAny(path, " '\"$\\") {
		return fmt.Sprintf("'%s'", strings.ReplaceAll(path, "'", `'\''`))
	}
	return filepath.Clean(path)
}
