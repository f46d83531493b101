package command

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/holdfast-dev/holdfast/internal/breakglass"
	"github.com/holdfast-dev/holdfast/postgres"
	"github.com/holdfast-dev/holdfast/relay"
)

// importFlags are the settings of `holdfast import`.
type importFlags struct {
	databaseURL, cluster string
	dryRun               bool
	output               Output
}

// Import makes the command import.
func (p Program) Import() *cobra.Command {
	f := &importFlags{}
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Store the entries of an export in the database",
		Long: `Store the entries in a file of 'holdfast export' or 'holdfast release' as rows, with their IDs,
sequences and hashes, as the relay does. Existing rows do not change, so the command can be
repeated. An entry that was altered in the file becomes a dead letter. FILE can be - for standard
input. The database login must be a member of holdfast_writer.

Exit status: 0 every entry has a row, 1 some entries have none (each is listed), 2 the import failed.`,
		Example: `  holdfast import pending.jsonl --dry-run
  holdfast import pending.jsonl`,
		Args: OneArgument("an export file, or - for standard input"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd.Context(), args[0], cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	AddDatabaseURL(flags, &f.databaseURL)
	flags.StringVar(&f.cluster, "cluster-name", "", "name of the cluster in the rows (default: the name in the file)")
	flags.BoolVar(&f.dryRun, "dry-run", false, "print what would happen and change nothing")
	AddOutput(flags, &f.output)
	return p.finish(cmd)
}

func (f *importFlags) run(ctx context.Context, path string, stdin io.Reader, to io.Writer) error {
	from := stdin
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		from = file
	}
	var s *postgres.Store
	defer func() {
		if s != nil {
			s.Close()
		}
	}()
	result := newImported()
	header, err := breakglass.Import(ctx, from, func(h breakglass.Header) (relay.Store, error) {
		var err error
		if s, err = openChecked(ctx, f.databaseURL, cmp.Or(f.cluster, h.Cluster)); err != nil || !f.dryRun {
			return s, err
		}
		return preview{s}, nil
	}, result.add, result.bad)
	if err != nil {
		return err
	}
	if f.output == AsJSON {
		err = PrintJSON(to, result)
	} else {
		err = result.print(to, header, f.dryRun)
	}
	if err == nil && len(result.Problems) > 0 {
		err = &ExitError{Code: 1, Err: fmt.Errorf("import is incomplete: %s, listed above", counted(len(result.Problems), "problem"))}
	}
	return err
}

// preview persists nothing.
type preview struct{ *postgres.Store }

func (p preview) Persist(ctx context.Context, items []relay.Item) ([]relay.Outcome, error) {
	return p.Preview(ctx, items)
}

// imported is what is printed.
type imported struct {
	Resources map[string]*importedResource `json:"resources"` // by uid
	Problems  []importProblem              `json:"problems"`
}

type importedResource struct {
	Kind         string `json:"kind"`
	Namespace    string `json:"namespace"`
	Name         string `json:"name"`
	Entries      int    `json:"entries"`
	Stored       int    `json:"stored"`
	Present      int    `json:"present"`
	DeadLettered int    `json:"deadLettered"`
	Unsupported  int    `json:"unsupported"`
}

type importProblem struct {
	Line  int    `json:"line"`
	ID    string `json:"id,omitempty"`
	Error string `json:"error"`
}

func newImported() *imported {
	return &imported{Resources: map[string]*importedResource{}, Problems: []importProblem{}}
}

func (i *imported) add(x breakglass.Imported) {
	source := x.Item.Source
	r := i.Resources[string(source.UID)]
	if r == nil {
		r = &importedResource{Kind: x.Item.ResourceKind, Namespace: source.Namespace, Name: source.Name}
		i.Resources[string(source.UID)] = r
	}
	r.Entries++
	problem := importProblem{Line: x.Line, ID: x.Item.ID}
	switch x.Outcome.Result {
	case relay.Stored:
		r.Stored++
		return
	case relay.Present:
		r.Present++
		return
	case relay.Unsupported:
		r.Unsupported++
		problem.Error = fmt.Sprintf("not imported: schema version %d is unknown to this release; import the file with a newer release", x.Item.Entry.SchemaVersion)
	case relay.DeadLettered, relay.Conflicting:
		r.DeadLettered++
		problem.Error = "dead letter: " + x.Outcome.Error
	}
	i.Problems = append(i.Problems, problem)
}

func (i *imported) bad(b *breakglass.LineError) {
	i.Problems = append(i.Problems, importProblem{Line: b.Number, Error: b.Err.Error()})
}

func (i *imported) print(to io.Writer, h breakglass.Header, dryRun bool) error {
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "KIND\tNAMESPACE\tNAME\tENTRIES\tSTORED\tPRESENT\tDEAD LETTERS\tUNSUPPORTED")
	for _, uid := range slices.Sorted(maps.Keys(i.Resources)) {
		r := i.Resources[uid]
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\n", plain(r.Kind), plain(r.Namespace), plain(r.Name), r.Entries, r.Stored, r.Present, r.DeadLettered, r.Unsupported)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	slices.SortStableFunc(i.Problems, func(a, b importProblem) int { return a.Line - b.Line })
	for _, p := range i.Problems {
		at := fmt.Sprintf("line %d", p.Line)
		if p.ID != "" {
			at += ", entry " + p.ID
		}
		fmt.Fprintf(to, "%s: %s\n", at, plain(p.Error))
	}
	did := "Imported"
	if dryRun {
		did = "Dry run of"
	}
	_, err := fmt.Fprintf(to, "%s an export of %s from %s: %s.\n", did, plain(cmp.Or(h.Cluster, h.Server)), h.Time.Format("2006-01-02T15:04:05Z07:00"), contents(h))
	return err
}
