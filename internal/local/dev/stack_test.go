//go:build unix

package dev_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/internal/local/dev"
)

// A second start in a folder that another one uses fails, and leaves the other's env file alone.
func TestAFolderInUseKeepsItsEnv(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	lock, err := os.Create(filepath.Join(dir, "cluster.lock"))
	g.Expect(err).NotTo(HaveOccurred())
	defer lock.Close()
	g.Expect(syscall.Flock(int(lock.Fd()), syscall.LOCK_EX)).To(Succeed())
	env := filepath.Join(dir, "env")
	g.Expect(os.WriteFile(env, []byte("KUBECONFIG=another's\n"), 0o600)).To(Succeed())
	_, err = dev.Start(t.Context(), dev.Options{Dir: dir, InfraOnly: true})
	g.Expect(err).To(MatchError(ContainSubstring("is in use")))
	g.Expect(os.ReadFile(env)).To(BeEquivalentTo("KUBECONFIG=another's\n"))
}
