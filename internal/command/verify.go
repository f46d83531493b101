package command

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-dev/holdfast/internal/verify"
)

// verifyFlags are the settings of `holdfast verify`.
type verifyFlags struct {
	connection
	databaseURL, cluster     string
	acknowledged             string
	resources, otherClusters []string
	output                   Output
	template                 bool
}

// Verify makes the command verify.
func (p Program) Verify() *cobra.Command {
	f := &verifyFlags{connection: connection{program: p}}
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check that the audit trail is complete and unaltered",
		Long: `Read every row once, recompute every hash chain from the stored bytes, and compare the columns with
them. With a cluster (--kubeconfig or KUBECONFIG), also compare the newest entry of each chain with
the live resource, and report open records whose resource is gone. The command can run beside a
manager: entries that are not drained yet are not findings.

The database login must be a member of holdfast_reader. In the cluster the command needs the verbs
list and get on the resources.

Findings: changed, column, reordered, missing, forked, doubled, broken, after-final, diverged,
invented, undecided, unfinished. docs/database.md explains each.

After you investigate a finding you can acknowledge it in a file (--acknowledged), with your name
and the reason. An acknowledged finding is listed separately and does not fail the check. An
acknowledgement covers one finding: if its chain changes up to that finding, the finding counts
again. --acknowledgement-template prints a file with the findings that are not acknowledged.

Exit status: 0 the trail is whole, or every finding is acknowledged; 1 other findings exist, or an
acknowledgement matches no finding; 2 the check failed, or could not look at every live resource.`,
		Example: `  # Check rows and live resources
  holdfast verify --database-url "$HOLDFAST_DATABASE_URL" --kubeconfig ~/.kube/config

  # Check rows only, and print findings as JSON
  holdfast verify --kubeconfig '' -o json | jq '.findings[]'

  # Acknowledge findings: fill in name and reason, then check again
  holdfast verify --acknowledgement-template > acknowledged.yaml
  holdfast verify --acknowledged acknowledged.yaml

  # Check the resources of another operator too
  holdfast verify --resource backups.example.com=backups.v1alpha1.backups.example.com`,
		Args: NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context(), cmd.OutOrStdout()) },
	}
	flags := cmd.Flags()
	if p.Kubectl == nil {
		flags.StringVar(&f.kubeconfig, "kubeconfig", "", "kubeconfig file (env KUBECONFIG; default: no cluster, rows only)")
	} else {
		flags.BoolVar(&f.rowsOnly, "rows-only", false, "check rows only, without the cluster")
		cmd.Long, cmd.Example = strings.NewReplacer(withKubeconfig...).Replace(cmd.Long), strings.NewReplacer(withKubeconfig...).Replace(cmd.Example)
	}
	AddDatabaseURL(flags, &f.databaseURL)
	flags.StringVar(&f.cluster, "cluster-name", "", "--cluster-name of the manager of this cluster")
	flags.StringSliceVar(&f.otherClusters, "other-clusters", nil, "other clusters in the same database, which are verified separately; repeatable")
	flags.StringSliceVar(&f.resources, "resource", nil, "additional entry kind and its resource, KIND=RESOURCE.VERSION.GROUP; repeatable")
	flags.StringVar(&f.acknowledged, "acknowledged", "", "YAML or JSON file with acknowledged findings")
	flags.BoolVar(&f.template, "acknowledgement-template", false, "print the findings as a file for --acknowledged, to fill in")
	AddOutput(flags, &f.output)
	return p.finish(cmd)
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
		return &ExitError{Code: 1, Err: fmt.Errorf("the trail is not whole: %s", counted(report.Findings, "finding"))}
	case len(report.Unmatched) > 0:
		return &ExitError{Code: 1, Err: fmt.Errorf("%s in %s matches no finding; investigate, then remove it from the file", counted(len(report.Unmatched), "acknowledgement"), f.acknowledged)}
	case report.Verdict == verify.Unknown:
		return &ExitError{Code: 2, Err: fmt.Errorf("the check is incomplete: live resources of %s were not compared; "+
			"install their CRDs, name kinds with --resource and clusters with --other-clusters, or check rows only with %s",
			strings.Join(report.NotCompared, ", "), f.withoutCluster())}
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
	if f.rowsOnly || f.program.Kubectl == nil && f.kubeconfig == "" {
		if len(f.resources) > 0 {
			return nil, fmt.Errorf("--resource is set without a cluster; %s", f.withCluster())
		}
		return nil, nil
	}
	config, err := f.config()
	if err != nil {
		return nil, fmt.Errorf("%w, or give %s to check rows only", err, f.withoutCluster())
	}
	return verify.Cluster(config, resources)
}

// withKubeconfig are the words of the texts that are others in a plugin of kubectl.
var withKubeconfig = []string{
	"With a cluster (--kubeconfig or KUBECONFIG), also", "Unless --rows-only is given, also", ` --kubeconfig ~/.kube/config`, "", `--kubeconfig ''`, "--rows-only",
}

func (f *verifyFlags) withoutCluster() string {
	if f.program.Kubectl != nil {
		return "--rows-only"
	}
	return "--kubeconfig ''"
}

func (f *verifyFlags) withCluster() string {
	if f.program.Kubectl != nil {
		return "remove --rows-only"
	}
	return "set --kubeconfig or KUBECONFIG"
}
