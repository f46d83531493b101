//go:build unix

package upgrade

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

// candidate stands for the release before until there is one: the formats of entries and tables, the CRDs and the chart were like this when v0.1.0 was prepared.
const candidate = "42fc9a7bce4895d2f104033d7ca2e24e932778d3"

// Before is a version that is in use: its sources, and its program holdfast.
type Before struct{ Name, Source, Program string }

func git(ctx context.Context, args ...string) (string, error) {
	c := exec.CommandContext(ctx, "git", append([]string{"-C", "../.."}, args...)...) //nolint:gosec // its own arguments
	var failed bytes.Buffer
	c.Stderr = &failed
	out, err := c.Output()
	if err != nil {
		err = fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, failed.String())
	}
	return strings.TrimSpace(string(out)), err
}

// TheReleaseBefore is the newest tag, else HOLDFAST_UPGRADE_FROM, else the candidate. It is compiled once, and kept in the user's cache under its commit. The caller's package is two folders below
// the repository's root.
func TheReleaseBefore(t *testing.T) Before {
	t.Helper()
	g := NewWithT(t)
	ctx := t.Context()
	name, err := git(ctx, "describe", "--tags", "--abbrev=0", "--match", "v[0-9]*")
	if err != nil {
		if name = os.Getenv("HOLDFAST_UPGRADE_FROM"); name == "" {
			name = candidate
		}
	}
	commit, err := git(ctx, "rev-parse", "--verify", "--quiet", name+"^{commit}")
	if err != nil {
		t.Skipf("NOT TRIED: the history of this checkout has no tag v… and no commit %s, so there is nothing to upgrade from (git fetch --tags --unshallow, or set HOLDFAST_UPGRADE_FROM)", name)
	}
	cache, err := os.UserCacheDir()
	g.Expect(err).NotTo(HaveOccurred())
	dir := filepath.Join(cache, "holdfast", "upgrade", commit)
	b := Before{Name: name, Source: filepath.Join(dir, "source"), Program: filepath.Join(dir, "holdfast")}
	if _, err := os.Stat(b.Program); err == nil {
		return b
	}
	g.Expect(os.MkdirAll(filepath.Dir(dir), 0o755)).To(Succeed())
	partial, err := os.MkdirTemp(filepath.Dir(dir), commit+"-") //nolint:usetesting // renamed into the cache, so on its file system
	g.Expect(err).NotTo(HaveOccurred())
	defer os.RemoveAll(partial)
	g.Expect(b.compile(ctx, commit, partial)).To(Succeed())
	if err := os.Rename(partial, dir); err != nil { // another test run may have been faster
		g.Expect(b.Program).To(BeAnExistingFile(), "%v", err)
	}
	return b
}

// compile fills a folder.
func (Before) compile(ctx context.Context, commit, dir string) error {
	source := filepath.Join(dir, "source")
	if err := os.Mkdir(source, 0o755); err != nil {
		return err
	}
	archive := filepath.Join(dir, "source.tar")
	if _, err := git(ctx, "archive", "--format=tar", "--output="+archive, commit); err != nil {
		return err
	}
	for _, args := range [][]string{{"tar", "-xf", archive, "-C", source}, {"go", "build", "-o", filepath.Join(dir, "holdfast"), "./cmd/holdfast"}} {
		c := exec.CommandContext(ctx, args[0], args[1:]...) //nolint:gosec // two lines above
		c.Dir, c.Env = source, append(os.Environ(), "CGO_ENABLED=0", "GOWORK=")
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
	return os.Remove(archive)
}
