package command

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/postgres"
)

func (p Program) newDeadLetterShowCommand() *cobra.Command {
	var url string
	form := Output("")
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show one dead letter in full",
		Long: `Show a dead letter: its resource, its error, its entry, and what to do next. One ID can have
several dead letters with different hashes, for example after a restore of etcd; all are shown.
The database login must be a member of holdfast_reader.

Exit status: 0 it was printed, 1 no dead letter has this ID, 2 the dead letter could not be read.`,
		Example: `  holdfast dead-letter show 019ab3c4-5d6e-8f70-8123-456789abcdef
  holdfast dead-letter show 019ab3c4-5d6e-8f70-8123-456789abcdef -o json | jq '.[].entry | fromjson'`,
		Args:              OneArgument(p.called("the ID of a dead letter (run `holdfast dead-letter list`)")),
		ValidArgsFunction: p.completeDeadLetters(postgres.Letters{Redriven: true}),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.showDeadLetter(cmd.Context(), url, args[0], form, cmd.OutOrStdout())
		},
	}
	AddDatabaseURL(cmd.Flags(), &url)
	AddOutput(cmd.Flags(), &form)
	return p.finish(cmd)
}

func (p Program) showDeadLetter(ctx context.Context, url, id string, form Output, to io.Writer) error {
	s, err := openChecked(ctx, url, "")
	if err != nil {
		return err
	}
	defer s.Close()
	letters := []letter{}
	err = s.DeadLetters(ctx, postgres.Letters{IDs: []string{id}, Redriven: true}, func(d models.DeadLetter) error {
		l := letterOf(d)
		l.Next = p.called(next(d))
		letters = append(letters, l)
		return nil
	})
	switch {
	case err != nil:
		return err
	case len(letters) == 0:
		return &ExitError{Code: 1, Err: fmt.Errorf(p.called("no dead letter has the ID %s; run `holdfast dead-letter list --all`"), id)}
	case form == AsJSON:
		return PrintJSON(to, letters)
	}
	for i, l := range letters {
		if i > 0 {
			fmt.Fprintln(to)
		}
		if err := l.print(to); err != nil {
			return err
		}
	}
	return nil
}

// next says what can be done about a dead letter.
func next(d models.DeadLetter) string {
	reason := postgres.Unstorable(d)
	switch {
	case d.RedrivenAt != nil:
		return "Nothing to do. The entry is stored as a row; the dead letter stays as a record."
	case reason != "":
		return "It cannot become a row: " + reason + ". Find out who can update the status of the resource. Keep the dead letter as evidence."
	case strings.HasPrefix(d.Error, postgres.PlaceTaken):
		return "It cannot become a row: another entry has its sequence, and rows are never overwritten. This happens after a restore of etcd. Keep the dead letter as the record of the second history."
	case d.SQLState == "":
		return "The record does not fit its table. Run `holdfast dead-letter redrive " + d.ID + "` with a release that supports the record."
	}
	return "Fix the error in the database. Then run `holdfast dead-letter redrive " + d.ID + "`; --dry-run shows whether it will succeed."
}

func (l *letter) print(to io.Writer) error {
	resource := strings.TrimPrefix(l.Namespace+"/"+l.Name, "/")
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	for _, line := range [][2]string{
		{"ID", l.ID}, {"Kind", l.Kind}, {"Cluster", l.Cluster}, {"Resource", resource}, {"UID", l.UID}, {"Sequence", fmt.Sprint(l.Sequence)},
		{"Hash", l.Hash}, {"Previous hash", l.PreviousHash}, {"First attempt", l.FirstAttempt.Format(time.RFC3339)}, {"Last attempt", l.LastAttempt.Format(time.RFC3339)},
		{"Attempts", fmt.Sprint(l.Attempts)}, {"Redriven", l.redriven()}, {"SQLSTATE", l.SQLState}, {"Error", l.Error}, {"Next", l.Next},
	} {
		if line[1] != "" {
			fmt.Fprintf(table, "%s:\t%s\n", line[0], plain(line[1]))
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(to, "Entry:")
	var pretty bytes.Buffer
	if json.Indent(&pretty, []byte(l.Entry), "  ", "  ") != nil {
		pretty.Reset()
		pretty.WriteString(l.Entry)
	}
	for line := range strings.Lines(pretty.String()) {
		fmt.Fprintln(to, "  "+plain(strings.TrimPrefix(strings.TrimSuffix(line, "\n"), "  ")))
	}
	return nil
}

func (l *letter) redriven() string {
	if l.RedrivenAt == nil {
		return "no"
	}
	return l.RedrivenAt.Format(time.RFC3339)
}

// completionTimeout: a shell that waits for a database which is away is worse than one that completes nothing.
const (
	completionTimeout = 2 * time.Second
	completionMost    = 100
)

// completeDeadLetters offers the ids of dead letters, with their resources.
func (p Program) completeDeadLetters(which postgres.Letters) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
		defer cancel()
		if err := p.Prepare(cmd, args); err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		url, _ := cmd.Flags().GetString("database-url")
		s, err := openChecked(ctx, url, "")
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer s.Close()
		var found []cobra.Completion
		_ = s.DeadLetters(ctx, which, func(d models.DeadLetter) error {
			if _, err := uuid.Parse(d.ID); err == nil && strings.HasPrefix(d.ID, strings.ToLower(typed)) && !slices.Contains(args, d.ID) {
				found = append(found, cobra.CompletionWithDesc(d.ID, resourceName(d)))
			}
			if len(found) == completionMost {
				return context.Canceled // enough
			}
			return nil
		})
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}
