package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-dev/holdfast/internal/command"
	"github.com/holdfast-dev/holdfast/migrations"
)

func newMigrateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Create and upgrade the audit tables",
		Args:  command.OnlyCommands,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newMigrateUpCommand(), newMigrateStatusCommand())
	return cmd
}

func newMigrateUpCommand() *cobra.Command {
	var url string
	form := command.Output("")
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Upgrade the database to the schema of this release",
		Long: `Upgrade the database to the schema of this release: the tables, the triggers that keep rows
immutable, and the roles holdfast_owner, holdfast_writer and holdfast_reader.

Each migration runs in one transaction. Concurrent runs wait for each other, and an interrupted run
can be repeated. There is no downgrade. The login needs the right to create tables, and to create
roles unless they exist. Connect to the server directly, not through a connection pooler.`,
		Example: `  holdfast migrate up --database-url 'postgres://admin@db.example.com/holdfast'`,
		Args:    command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			progress := cmd.OutOrStdout()
			if form == command.AsJSON {
				progress = cmd.ErrOrStderr()
			}
			if err := migrations.Up(cmd.Context(), url, progress); err != nil {
				return err
			}
			if form != command.AsJSON {
				return nil
			}
			all, err := migrations.Status(cmd.Context(), url)
			if err != nil {
				return err
			}
			return command.PrintJSON(cmd.OutOrStdout(), all)
		},
	}
	command.AddDatabaseURL(cmd.Flags(), &url)
	command.AddOutput(cmd.Flags(), &form)
	return cmd
}

func newMigrateStatusCommand() *cobra.Command {
	var url string
	form := command.Output("")
	cmd := &cobra.Command{
		Use:   "status",
		Short: "List the migrations and their state in the database",
		Long: `List the migrations and their state: applied, pending (run 'holdfast migrate up'), or unknown (a
newer release applied it). The command only reads. The database login must be a member of
holdfast_reader or holdfast_writer.

Exit status: 0 the list was printed, whatever the states are; 1 the database could not be read.`,
		Example: `  holdfast migrate status
  holdfast migrate status -o json | jq -e 'all(.state == "applied")'`,
		Args: command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := migrations.Status(cmd.Context(), url)
			if err != nil {
				return err
			}
			if form == command.AsJSON {
				return command.PrintJSON(cmd.OutOrStdout(), all)
			}
			return printMigrations(cmd.OutOrStdout(), all)
		},
	}
	command.AddDatabaseURL(cmd.Flags(), &url)
	command.AddOutput(cmd.Flags(), &form)
	return cmd
}

func printMigrations(to io.Writer, all []migrations.Version) error {
	table := tabwriter.NewWriter(to, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "VERSION\tSTATE\tAPPLIED AT\tNAME")
	advice := "The schema is up to date."
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
			advice = "A newer release migrated this database. Run that release."
		case migrations.Applied:
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(to, advice)
	return err
}
