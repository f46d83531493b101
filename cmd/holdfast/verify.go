package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-dev/holdfast/internal/verify"
)

// verifyFlags are the settings of `holdfast verify`.
type verifyFlags struct {
	kubeconfig, databaseURL, cluster string
	resources, otherClusters         []string
	output                           output
}

func newVerifyCommand() *cobra.Command {
	f := &verifyFlags{}
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Prove that the audit trail is whole",
		Long: `Read every row once, recompute every chain from the bytes that were hashed, and hold the columns against them. Given a cluster (--kubeconfig or KUBECONFIG), hold the ends of
the chains against the live resources, and find records that never became final though their resource is gone. It may run beside a manager: what is not drained yet is no
finding. A member of holdfast_reader may run it; in the cluster it needs list and get on the resources.

Findings: changed, column, reordered, missing, forked, doubled, broken, after-final, diverged, invented, undecided, unfinished. docs/database.md explains each.

Exit status: 0 the trail is whole, 1 there are findings, 2 it could not be checked, or not to its end (kinds that the cluster does not serve).`,
		Example: `  # Rows and live resources
  holdfast verify --database-url "$HOLDFAST_DATABASE_URL" --kubeconfig ~/.kube/config

  # Only the rows, as JSON
  holdfast verify --kubeconfig '' -o json | jq '.findings[]'

  # The resources of another operator, too
  holdfast verify --resource backups.example.com=backups.v1alpha1.backups.example.com`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context(), cmd.OutOrStdout()) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.kubeconfig, "kubeconfig", "", "kubeconfig file (variable KUBECONFIG; default: no cluster, rows only)")
	addDatabaseURL(flags, &f.databaseURL)
	flags.StringVar(&f.cluster, "cluster-name", "", "--cluster-name of the manager")
	flags.StringSliceVar(&f.otherClusters, "other-clusters", nil, "clusters in the same database that are verified separately; repeatable")
	flags.StringSliceVar(&f.resources, "resource", nil, "additional kind of entries and its resource, KIND=RESOURCE.VERSION.GROUP; repeatable")
	addOutput(flags, &f.output)
	return notDone(cmd)
}

func (f *verifyFlags) run(ctx context.Context, to io.Writer) error {
	live, err := f.live()
	if err != nil {
		return err
	}
	s, err := openChecked(ctx, f.databaseURL, f.cluster)
	if err != nil {
		return err
	}
	defer s.Close()
	answer := struct {
		verify.Report
		Findings []verify.Finding `json:"findings"`
	}{Findings: []verify.Finding{}}
	found := func(x verify.Finding) { fmt.Fprintln(to, findingLine(x)) }
	if f.output == asJSON {
		found = func(x verify.Finding) { answer.Findings = append(answer.Findings, x) }
	}
	report, err := verify.Run(ctx, s, live, verify.Options{Cluster: f.cluster, OtherClusters: f.otherClusters}, found)
	if err != nil {
		return err
	}
	if answer.Report = report; f.output == asJSON {
		err = printJSON(to, answer)
	} else {
		err = printReport(to, report)
	}
	switch {
	case err != nil:
		return err
	case report.Verdict == verify.NotWhole:
		return &exitError{code: 1, err: fmt.Errorf("the trail is not whole: %s", counted(report.Findings, "finding"))}
	case report.Verdict == verify.Unknown:
		return &exitError{code: 2, err: fmt.Errorf("the live resources of %s were not looked at, so nobody knows where their records should end; "+
			"install their CustomResourceDefinitions, name kinds with --resource and clusters with --other-clusters, or check the rows alone with --kubeconfig ''",
			strings.Join(report.NotCompared, ", "))}
	}
	return nil
}

func (f *verifyFlags) live() (verify.Live, error) {
	resources := verify.DefaultResources()
	for _, r := range f.resources {
		if err := resources.Parse(r); err != nil {
			return nil, fmt.Errorf("--resource: %w", err)
		}
	}
	if f.kubeconfig == "" {
		if len(f.resources) > 0 {
			return nil, errors.New("--resource needs a cluster to look in: give --kubeconfig or KUBECONFIG")
		}
		return nil, nil
	}
	config, err := restConfig(f.kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("%w, or --kubeconfig '' to check the rows alone", err)
	}
	return verify.Cluster(config, resources)
}

func findingLine(x verify.Finding) string {
	var where []string
	if x.Name != "" {
		where = append(where, plain(strings.TrimPrefix(x.Namespace+"/"+x.Name, "/")))
	}
	if x.UID != "" {
		where = append(where, fmt.Sprintf("(%s) entry %d", x.UID, x.Sequence))
	}
	if x.Table != "" {
		where = append(where, "in "+x.Table, x.ID)
	}
	return fmt.Sprintf("%-11s  %s: %s", x.Problem, strings.Join(where, " "), plain(x.Detail))
}

func printReport(to io.Writer, r verify.Report) error {
	verdict := "The trail is whole"
	switch {
	case r.Verdict == verify.NotWhole:
		verdict = "The trail is NOT whole: " + counted(r.Findings, "finding")
	case r.Verdict == verify.Unknown:
		verdict = "The rows are whole, but the trail COULD NOT BE CHECKED to its end"
	case r.Live == 0 && r.Unchecked > 0:
		verdict = "The rows are whole"
	}
	fmt.Fprintf(to, "%s. Looked at %s in %s", verdict, counted(r.Entries, "row"), counted(r.Chains, "chain"))
	for _, more := range []struct {
		n    int
		what string
	}{{r.Posted, "posted row"}, {r.DeadLetters, "waiting dead letter"}, {r.Live, "live resource"}, {r.Unfinished, "unfinished record"}} {
		if more.n > 0 {
			fmt.Fprintf(to, ", %s", counted(more.n, more.what))
		}
	}
	_, err := fmt.Fprintln(to, ".")
	for _, note := range r.Notes {
		fmt.Fprintln(to, "Note:", plain(note))
	}
	return err
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
