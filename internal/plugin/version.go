package plugin

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-dev/holdfast/internal/command"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// versions is the result of version.
type versions struct {
	Client string `json:"client"`
	// EntrySchema is the version of entries that this program reads.
	EntrySchema int `json:"entrySchema"`
	// Server is the API server's version.
	Server string `json:"server,omitempty"`
	// Managers are the images of the manager Pods.
	Managers []string `json:"managers,omitempty"`
	Schema   string   `json:"schema,omitempty"`
	// Skew says what does not fit.
	Skew   string   `json:"skew,omitempty"`
	Unread []unread `json:"unread,omitempty"`
}

func (v *versions) text(p *page) {
	p.line("client    %s (entries of schema version %d)", v.Client, v.EntrySchema)
	if v.Server != "" {
		p.line("server    %s", v.Server)
	}
	for _, image := range v.Managers {
		p.line("manager   %s", image)
	}
	if v.Schema != "" {
		p.line("schema    %s", v.Schema)
	}
	if v.Skew != "" {
		p.line("%s", v.Skew)
	}
	for _, u := range v.Unread {
		p.line("Could not read %s: %s", u.What, u.Reason)
	}
}

func newVersionCommand(c *cluster) *cobra.Command {
	var (
		out        output
		db         database
		clientOnly bool
	)
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Show the versions of this program, the cluster, the managers and the schema",
		Long: `Show the versions of this program, the API server, the managers' images, and with --database-url the state
of the schema.

Exit status: 0 they fit, 1 they do not, 2 something could not be read.`,
		Example: `  kubectl holdfast version
  kubectl holdfast version --client -o json`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := out.check(); err != nil {
				return err
			}
			v := &versions{Client: c.version, EntrySchema: entry.SchemaVersion}
			if !clientOnly {
				v.read(cmd, c, &db)
			}
			var status error
			switch {
			case len(v.Unread) > 0:
				status = &command.ExitError{Code: exitUnknown}
			case v.Skew != "":
				status = found(true)
			}
			return errors.Join(out.print(c.streams.Out, v), status)
		},
	}
	out.addFlags(cmd)
	db.addFlags(cmd)
	cmd.Flags().BoolVar(&clientOnly, "client", false, "only the version of this program")
	return cmd
}

// oldestServer is what the admission policies need.
const oldestServer = 36

func (v *versions) read(cmd *cobra.Command, c *cluster, db *database) {
	ctx := cmd.Context()
	fail := func(what string, err error) { v.Unread = append(v.Unread, unread{what, reasonOf(explained(err))}) }
	if err := c.connect(); err != nil {
		fail("the cluster", err)
		return
	}
	server, err := c.clientset.Discovery().ServerVersion()
	if err != nil {
		fail("the API server's version", err)
		return
	}
	v.Server = server.GitVersion
	var minor int
	if _, err := fmt.Sscanf(server.Minor, "%d", &minor); err != nil || server.Major != "1" {
		minor = oldestServer // it is unknown whether it fits
	}
	switch newest := libraryMinor(); {
	case minor < oldestServer:
		v.Skew = fmt.Sprintf("The API server is %s. Holdfast's admission policies need 1.%d or newer.", server.GitVersion, oldestServer)
	case newest > 0 && minor > newest+1:
		v.Skew = fmt.Sprintf("The API server is %s. This program was built for 1.%d, and tried with nothing newer: take a newer release of it.", server.GitVersion, newest)
	}
	pods, err := c.clientset.CoreV1().Pods(c.system).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=holdfast,app.kubernetes.io/component=manager"})
	if err != nil {
		fail("the managers' Pods", err)
	} else {
		for i := range pods.Items {
			for _, container := range pods.Items[i].Spec.Containers {
				v.Managers = append(v.Managers, pods.Items[i].Name+" "+container.Image)
			}
		}
	}
	state, err := db.state(ctx)
	switch {
	case err != nil:
		fail("the database", err)
	case state != nil:
		v.Schema = state.Schema
		if state.Schema != schemaCurrent {
			v.Skew = strings.TrimSpace(v.Skew + " The database schema does not fit this program: " + state.Advice + ".")
		}
	}
}

// libraryMinor is the minor version of Kubernetes that this program was built for, 0 if it is not known. client-go 0.37 is that of Kubernetes 1.37.
func libraryMinor() (minor int) {
	info, _ := debug.ReadBuildInfo()
	if info == nil {
		return 0
	}
	for _, d := range info.Deps {
		if d.Path == "k8s.io/client-go" {
			if _, err := fmt.Sscanf(d.Version, "v0.%d.", &minor); err != nil {
				return 0
			}
		}
	}
	return minor
}

// versionOf is the linker's version, or that of the module.
func versionOf(linked string) string {
	if linked != "" {
		return linked
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
