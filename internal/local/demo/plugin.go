//go:build unix

package demo

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// pluginName is the plugin of kubectl, which make build puts beside holdfast.
const pluginName = "kubectl-holdfast"

// kubectl runs `kubectl holdfast`, and shows the command and what it prints, as on a terminal.
func (d *demo) kubectl(ctx context.Context, words ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(filepath.Dir(d.program), pluginName), words...)
	// What kubectl knows of a cluster is kept in HOME.
	cmd.Env = []string{"KUBECONFIG=" + d.stack.Cluster.Kubeconfig(), "HOLDFAST_DATABASE_URL=" + d.stack.Postgres.URL(), "HOME=" + d.stack.Dir, "PATH=/usr/bin:/bin"}
	answer, err := cmd.CombinedOutput()
	command := "kubectl holdfast"
	for _, word := range words {
		if strings.ContainsAny(word, " '") {
			word = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
		command += " " + word
	}
	var exit *exec.ExitError
	if found := errors.As(err, &exit) && exit.ExitCode() == 1; err != nil && !found {
		return fmt.Errorf("%s (make build makes %s): %w\n%s", command, pluginName, err, answer)
	}
	shown := "   " + d.paint(bold, "$ "+command) + "\n"
	for line := range strings.Lines(string(answer)) {
		shown += "   " + line
	}
	d.print(shown + "\n")
	return nil
}
