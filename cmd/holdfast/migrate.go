package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-dev/holdfast/migrations"
)

func newMigrateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Make and update the audit tables",
		Args:  aCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newMigrateUpCommand(), newMigrateStatusCommand())
	return cmd
}

func newMigrateUpCommand() *cobra.Command {
	var url string
	form := output("")
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Bring the database to the schema of this release",
		Long: `Bring the database to the schema of this release: tables, triggers that keep rows immutable, and the roles holdfast_owner, holdfast_writer and holdfast_reader.

It may be started several times at once, and again after it was killed: each migration happens whole or not at all. There is no way down. The login must be allowed to create
tables, and roles unless they exist. Connect to the server itself, not through a pooler that shares sessions.`,
		Example: `  holdfast migrate up --database-url 'postgres://admin@db.example.com/holdfast'`,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			progress := cmd.OutOrStdout()
			if form == asJSON {
				progress = cmd.ErrOrStderr()
			}
			if err := migrations.Up(cmd.Context(), url, progress); err != nil {
				return err
			}
			if form != asJSON {
				return nil
			}
			all, err := migrations.Status(cmd.Context(), url)
			if err != nil {
				return err
			}
			return printJSON(cmd.OutOrStdout(), all)
		},
	}
	addDatabaseURL(cmd.Flags(), &url)
	addOutput(cmd.Flags(), &form)
	return cmd
}

func newMigrateStatusCommand() *cobra.Command {
	var url string
	form := output("")
	cmd := &cobra.Command{
		Use:   "status",
		Short: "List the migrations, and which of them the database has",
		Long: `List the migrations, and which of them the database has: applied, pending (run 'holdfast migrate up'), or unknown (a newer release has been here). It only reads; a member
of holdfast_reader or holdfast_writer may run it. The exit status is 0 whatever the answer is, 1 if there is none.`,
		Example: `  holdfast migrate status
  holdfast migrate status -o json | jq -e 'all(.state == "applied")'`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := migrations.Status(cmd.Context(), url)
			if err != nil {
				return err
			}
			if form == asJSON {
				return printJSON(cmd.OutOrStdout(), all)
			}
			return printMigrations(cmd.OutOrStdout(), all)
		},
	}
	addDatabaseURL(cmd.Flags(), &url)
	addOutput(cmd.Flags(), &form)
	return cmd
}

func printMigrations(to io.Writer, all []migrations.Version) error {
	table := tabwriter.NewWriter(to, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "VERSION\tSTATE\tAPPLIED AT\tNAME")
	advice := "The schema is that of this release."
	for _, v := range all {
		at := "-"
		if v.AppliedAt != nil {
			at = v.AppliedAt.UTC().Format(time.RFC3339)
		}
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\n", v.Version, v.State, at, v.Name)
		switch v.State {
		case migrations.Pending:
			advice = "Run `holdfast migrate up`."
		case migrations.Unknown:
			advice = "A newer release has migrated this database: run that release."
		case migrations.Applied:
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(to, advice)
	return err
}
