package command

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/outbox"
	"github.com/holdfast-dev/holdfast/postgres"
	"github.com/holdfast-dev/holdfast/relay"
)

// DeadLetter makes the command dead-letter.
func (p Program) DeadLetter() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dead-letter",
		Short: "List, show and redrive entries that could not be stored as rows",
		Example: p.called(`  holdfast dead-letter list
  holdfast dead-letter redrive --all --dry-run`),
		Args: OnlyCommands,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.newDeadLetterListCommand(), p.newDeadLetterShowCommand(), p.newDeadLetterRedriveCommand())
	return cmd
}

// letter is a dead letter as it is printed in JSON.
type letter struct {
	ID           string     `json:"id"`
	Hash         string     `json:"hash"`
	Kind         string     `json:"kind"`
	Cluster      string     `json:"cluster,omitempty"`
	Namespace    string     `json:"namespace,omitempty"`
	Name         string     `json:"name,omitempty"`
	UID          string     `json:"uid,omitempty"`
	Sequence     int64      `json:"sequence,omitempty"`
	PreviousHash string     `json:"previousHash,omitempty"`
	SQLState     string     `json:"sqlstate,omitempty"`
	Error        string     `json:"error"`
	Attempts     int64      `json:"attempts"`
	FirstAttempt time.Time  `json:"firstAttempt"`
	LastAttempt  time.Time  `json:"lastAttempt"`
	RedrivenAt   *time.Time `json:"redrivenAt,omitempty"`
	Entry        string     `json:"entry"`
	// Next is what can be done; only show says so.
	Next string `json:"next,omitempty"`
}

func letterOf(d models.DeadLetter) letter {
	l := letter{
		ID: d.ID, Hash: fmt.Sprintf("%x", d.EntryHash), Kind: d.Kind, Cluster: d.SourceCluster, Namespace: d.SourceNamespace, Name: d.SourceName, UID: d.SourceUID,
		Sequence: d.Sequence, PreviousHash: hex.EncodeToString(d.PreviousHash), SQLState: d.SQLState, Error: d.Error, Attempts: d.Attempts, FirstAttempt: d.FirstAttempt.Time, LastAttempt: d.LastAttempt.Time, Entry: storedText(d),
	}
	if d.RedrivenAt != nil {
		l.RedrivenAt = &d.RedrivenAt.Time
	}
	return l
}

func (p Program) newDeadLetterListCommand() *cobra.Command {
	var url string
	var all bool
	form := Output("")
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the dead letters that are not redriven yet",
		Long: `List the dead letters that are not redriven yet, with the error of each. JSON output includes the
entry. The database login must be a member of holdfast_reader.

Exit status: 0 the list was printed, even if it is empty; 2 the dead letters could not be read.`,
		Example: `  holdfast dead-letter list
  holdfast dead-letter list --all -o json | jq '.[] | {id, error, entry: (.entry | fromjson)}'`,
		Args: NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return listDeadLetters(cmd.Context(), url, postgres.Letters{Redriven: all}, form, cmd.OutOrStdout())
		},
	}
	AddDatabaseURL(cmd.Flags(), &url)
	cmd.Flags().BoolVar(&all, "all", false, "include redriven dead letters")
	AddOutput(cmd.Flags(), &form)
	return p.finish(cmd)
}

func listDeadLetters(ctx context.Context, url string, which postgres.Letters, form Output, to io.Writer) error {
	s, err := openChecked(ctx, url, "")
	if err != nil {
		return err
	}
	defer s.Close()
	if form == AsJSON {
		letters := []letter{}
		err := s.DeadLetters(ctx, which, func(d models.DeadLetter) error {
			letters = append(letters, letterOf(d))
			return nil
		})
		if err != nil {
			return err
		}
		return PrintJSON(to, letters)
	}
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	n := 0
	err = s.DeadLetters(ctx, which, func(d models.DeadLetter) error {
		if n++; n == 1 {
			fmt.Fprintln(table, "ID\tKIND\tRESOURCE\tSEQUENCE\tATTEMPTS\tLAST ATTEMPT\tREDRIVEN\tSQLSTATE\tERROR")
		}
		redriven := "-"
		if d.RedrivenAt != nil {
			redriven = d.RedrivenAt.Format(time.RFC3339)
		}
		sqlState := d.SQLState
		if sqlState == "" {
			sqlState = "-"
		}
		_, err := fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%s\t%s\t%s\t%s\n", d.ID, plain(d.Kind), resourceName(d), d.Sequence, d.Attempts,
			d.LastAttempt.Format(time.RFC3339), redriven, sqlState, plain(outbox.Bound(d.Error, 200)))
		return err
	})
	if err != nil {
		return err
	}
	if n == 0 {
		fmt.Fprintln(to, "No dead letters.")
	}
	return table.Flush()
}

func resourceName(d models.DeadLetter) string {
	return plain(strings.TrimPrefix(d.SourceNamespace+"/"+d.SourceName, "/"))
}

// redriveFlags are the settings of `holdfast dead-letter redrive`.
type redriveFlags struct {
	databaseURL string
	all, dryRun bool
	output      Output
}

func (p Program) newDeadLetterRedriveCommand() *cobra.Command {
	f := &redriveFlags{}
	cmd := &cobra.Command{
		Use:   "redrive {--all | ID...}",
		Short: "Store dead letters as rows, after the cause is fixed",
		Long: `Store dead letters as rows. Fix the cause first, in the database or with a newer release. Each row
gets the original ID, sequence and hash of its entry. The dead letter stays and is marked as
redriven; nothing is deleted. If the row fails again, only the number of attempts changes. The command
can be repeated. The database login must be a member of holdfast_writer.

Exit status: 0 all dead letters became rows, 1 some did not, 2 the command failed.`,
		Example: `  # Show what would happen
  holdfast dead-letter redrive --all --dry-run

  # Redrive one dead letter
  holdfast dead-letter redrive 019ab3c4-5d6e-8f70-8123-456789abcdef`,
		Args: func(_ *cobra.Command, args []string) error {
			if f.all == (len(args) > 0) {
				return errors.New(p.called("give either --all or the IDs of dead letters (run `holdfast dead-letter list`)"))
			}
			return nil
		},
		ValidArgsFunction: p.completeDeadLetters(postgres.Letters{}),
		RunE:              func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), args, cmd.OutOrStdout()) },
	}
	AddDatabaseURL(cmd.Flags(), &f.databaseURL)
	cmd.Flags().BoolVar(&f.all, "all", false, "all dead letters that are not redriven yet")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "print what would happen and change nothing")
	AddOutput(cmd.Flags(), &f.output)
	return p.finish(cmd)
}

// redriven is what became of one dead letter: redriven (or would-redrive), already-redriven, failed, or unknown for an id that has none.
type redriven struct {
	ID     string `json:"id"`
	Hash   string `json:"hash,omitempty"`
	Result string `json:"result"`
	Error  string `json:"error,omitempty"`
}

func (f *redriveFlags) run(ctx context.Context, ids []string, to io.Writer) error {
	s, err := openChecked(ctx, f.databaseURL, "")
	if err != nil {
		return err
	}
	defer s.Close()
	all, failed := []redriven{}, 0
	say := func(r redriven) {
		if r.Error != "" {
			failed++
		}
		all = append(all, r)
		if f.output == AsTable {
			fmt.Fprintln(to, strings.TrimSuffix(fmt.Sprintf("%s %s: %s", r.Result, r.ID, plain(r.Error)), ": "))
		}
	}
	seen := map[string]bool{}
	err = s.DeadLetters(ctx, postgres.Letters{IDs: ids, Redriven: len(ids) > 0}, func(d models.DeadLetter) error {
		seen[d.ID] = true
		r, err := f.redrive(ctx, s, d)
		if err == nil {
			say(r)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, id := range slices.Compact(slices.Sorted(slices.Values(ids))) {
		if !seen[strings.ToLower(id)] {
			say(redriven{ID: id, Result: "unknown", Error: "no dead letter has this ID"})
		}
	}
	switch {
	case f.output == AsJSON:
		err = PrintJSON(to, all)
	case len(all) == 0:
		_, err = fmt.Fprintln(to, "No dead letters.")
	}
	if err == nil && failed > 0 {
		err = &ExitError{Code: 1, Err: fmt.Errorf("%d of %s could not be stored as rows", failed, counted(len(all), "dead letter"))}
	}
	return err
}

func (f *redriveFlags) redrive(ctx context.Context, s *postgres.Store, d models.DeadLetter) (redriven, error) {
	r := redriven{ID: d.ID, Hash: fmt.Sprintf("%x", d.EntryHash)}
	if d.RedrivenAt != nil {
		r.Result = "already-redriven"
		return r, nil
	}
	outcome, err := s.Redrive(ctx, d, f.dryRun)
	switch {
	case err != nil:
		return r, err
	case outcome.Result != relay.Stored && outcome.Result != relay.Present:
		r.Result, r.Error = "failed", outcome.Error
	case f.dryRun:
		r.Result = "would-redrive"
	default:
		r.Result = "redriven"
	}
	return r, nil
}

// storedText is the entry as it was, where it is text; the bytes of another one are in the column entry_bytes.
func storedText(d models.DeadLetter) string {
	if text := d.Text(); utf8.Valid(text) {
		return string(text)
	}
	return d.Entry
}
