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
	acknowledged                     string
	resources, otherClusters         []string
	output                           output
	template                         bool
}

func newVerifyCommand() *cobra.Command {
	f := &verifyFlags{}
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Prove that the audit trail is whole",
		Long: `Read every row once, recompute every chain from the bytes that were hashed, and compare the columns with them. With a cluster (--kubeconfig or KUBECONFIG), compare the ends of
the chains with the live resources, and find records that never became final though their resource is gone. It may run beside a manager: what is not drained yet is no
finding. The database login is a member of holdfast_reader; in the cluster it needs list and get on the resources.

Findings: changed, column, reordered, missing, forked, doubled, broken, after-final, diverged, invented, undecided, unfinished. docs/database.md explains each.

A finding that somebody looked into can be acknowledged, with who and why, in a file (--acknowledged): it is printed apart and no longer counts. An acknowledgement covers one
finding as it is now: if anything in the chain up to it changes, the finding counts again. --acknowledgement-template prints the file for the findings that count.

Exit status: 0 the trail is whole, or has acknowledged findings only; 1 there are other findings, or an acknowledgement without its finding; 2 it could not be checked, or not to its
end (kinds that the cluster does not serve).`,
		Example: `  # Rows and live resources
  holdfast verify --database-url "$HOLDFAST_DATABASE_URL" --kubeconfig ~/.kube/config

  # Only the rows, as JSON
  holdfast verify --kubeconfig '' -o json | jq '.findings[]'

  # What was looked into: fill in who and why
  holdfast verify --acknowledgement-template > acknowledged.yaml
  holdfast verify --acknowledged acknowledged.yaml

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
	flags.StringVar(&f.acknowledged, "acknowledged", "", "file with acknowledged findings, YAML or JSON")
	flags.BoolVar(&f.template, "acknowledgement-template", false, "print a file for --acknowledged with the findings, to be filled in")
	addOutput(flags, &f.output)
	return notDone(cmd)
}

func (f *verifyFlags) run(ctx context.Context, to io.Writer) error {
	show, err := f.printer(to)
	if err != nil {
		return err
	}
	acknowledged, err := readAcknowledged(f.acknowledged)
	if err != nil {
		return err
	}
	live, err := f.live()
	if err != nil {
		return err
	}
	s, err := openChecked(ctx, f.databaseURL, f.cluster)
	if err != nil {
		return err
	}
	defer s.Close()
	report, err := verify.Run(ctx, s, live, verify.Options{Cluster: f.cluster, OtherClusters: f.otherClusters, Acknowledged: acknowledged}, show.finding)
	if err != nil {
		return err
	}
	err = show.report(report)
	switch {
	case err != nil:
		return err
	case report.Verdict == verify.NotWhole:
		return &exitError{code: 1, err: fmt.Errorf("the trail is not whole: %s", counted(report.Findings, "finding"))}
	case len(report.Unmatched) > 0:
		return &exitError{code: 1, err: fmt.Errorf("of %s in %s there is no such finding; look into it, then take it out of the file", counted(len(report.Unmatched), "acknowledgement"), f.acknowledged)}
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
