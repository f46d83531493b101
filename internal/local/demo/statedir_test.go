//go:build unix

package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

// filled is a temporary folder of a demo in which servers have left something.
func filled(t *testing.T) stateDir {
	t.Helper()
	g := NewWithT(t)
	s, err := openStateDir("")
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { _ = os.RemoveAll(s.path) })
	g.Expect(os.MkdirAll(filepath.Join(s.path, "etcd"), 0o755)).To(Succeed())
	g.Expect(os.MkdirAll(filepath.Join(s.path, "logs"), 0o755)).To(Succeed())
	return s
}

func TestTemporaryFolderIsRemovedButForTheLogsOfAFailure(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	for _, end := range []error{nil, fmt.Errorf("interrupted: %w", context.Canceled)} {
		g := NewWithT(t)
		s := filled(t)
		err := s.leave(end)
		g.Expect(errors.Is(err, end)).To(BeTrue())
		g.Expect(s.path).NotTo(BeADirectory())
	}
	g := NewWithT(t)
	s := filled(t)
	g.Expect(s.leave(ErrNotClean)).To(And(MatchError(ErrNotClean), MatchError(ContainSubstring(filepath.Join(s.path, "logs")))))
	left, err := os.ReadDir(s.path)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(left).To(HaveExactElements(HaveField("Name()", "logs")))
}

func TestFolderOfTheUserStays(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	s, err := openStateDir(dir)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(s.leave(nil)).To(Succeed())
	g.Expect(dir).To(BeADirectory())
}

func TestFolderOfAKilledDemoIsRemovedByTheNext(t *testing.T) {
	g := NewWithT(t)
	base := t.TempDir()
	t.Setenv("TMPDIR", base)
	old := time.Now().Add(-time.Hour)
	killed, living := filled(t), filled(t)
	for _, s := range []stateDir{killed, living} {
		g.Expect(os.Chtimes(filepath.Join(s.path, dirLock), old, old)).To(Succeed())
	}
	g.Expect(killed.lock.Close()).To(Succeed()) // as the kernel does
	failed := filled(t)
	g.Expect(failed.leave(ErrNotClean)).To(MatchError(ErrNotClean))

	sweep(base)
	g.Expect(killed.path).NotTo(BeADirectory())
	g.Expect(living.path).To(BeADirectory())
	g.Expect(failed.path).To(BeADirectory()) // its logs are for somebody to read
}
