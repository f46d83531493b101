package main

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

func newDeadLetterShowCommand() *cobra.Command {
	var url string
	form := output("")
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show everything about one dead letter",
		Long: `Show a dead letter: where it comes from, why it could not become a row, its entry, and what can be done. An id may have several, of different histories; all are shown. The
database login is a member of holdfast_reader.

Exit status: 0 it was shown, 1 there is no dead letter with this id, 2 it could not be read.`,
		Example: `  holdfast dead-letter show 019ab3c4-5d6e-8f70-8123-456789abcdef
  holdfast dead-letter show 019ab3c4-5d6e-8f70-8123-456789abcdef -o json | jq '.[].entry | fromjson'`,
		Args:              oneArgument("the id of a dead letter (see `holdfast dead-letter list`)"),
		ValidArgsFunction: completeDeadLetters(postgres.Letters{Redriven: true}),
		RunE: func(cmd *cobra.Command, args []string) error {
			return showDeadLetter(cmd.Context(), url, args[0], form, cmd.OutOrStdout())
		},
	}
	addDatabaseURL(cmd.Flags(), &url)
	addOutput(cmd.Flags(), &form)
	return notDone(cmd)
}

func showDeadLetter(ctx context.Context, url, id string, form output, to io.Writer) error {
	s, err := openChecked(ctx, url, "")
	if err != nil {
		return err
	}
	defer s.Close()
	letters := []letter{}
	err = s.DeadLetters(ctx, postgres.Letters{IDs: []string{id}, Redriven: true}, func(d models.DeadLetter) error {
		l := letterOf(d)
		l.Next = next(d)
		letters = append(letters, l)
		return nil
	})
	switch {
	case err != nil:
		return err
	case len(letters) == 0:
		return &exitError{code: 1, err: fmt.Errorf("there is no dead letter with the id %s", id)}
	case form == asJSON:
		return printJSON(to, letters)
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
		return "Nothing: it became its row. The dead letter stays as the record of what happened."
	case reason != "":
		return "It never becomes a row: " + reason + ". Find out who may update the resource's status; the dead letter is the evidence."
	case strings.HasPrefix(d.Error, postgres.PlaceTaken):
		return "It never becomes a row while the other entry has its place, which nothing overwrites: it is the record of a second history, as after a restore of etcd."
	case d.SQLState == "":
		return "The record does not fit its table: redrive it with a release that knows it, `holdfast dead-letter redrive " + d.ID + "`."
	}
	return "Fix in the database what the error names, then run `holdfast dead-letter redrive " + d.ID + "` (--dry-run shows whether it would work)."
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
func completeDeadLetters(which postgres.Letters) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
		defer cancel()
		if err := cmd.Root().PersistentPreRunE(cmd, args); err != nil {
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
