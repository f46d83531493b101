package breakglass_test

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/internal/breakglass"
)

// Two that are asked at the same time both saw that the file was not there. The second must not replace what the first wrote: its resources are gone.
func TestAnExportReplacesNothing(t *testing.T) {
	g := NewWithT(t)
	path := filepath.Join(t.TempDir(), "pending.jsonl")
	first, err := breakglass.NewFile(path, breakglass.Header{Cluster: "first"})
	g.Expect(err).NotTo(HaveOccurred())
	second, err := breakglass.NewFile(path, breakglass.Header{Cluster: "second"})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(first.Save(path)).To(Succeed())
	written, err := os.ReadFile(path)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(second.Save(path)).To(MatchError(os.ErrExist))
	g.Expect(os.ReadFile(path)).To(Equal(written))
	_, err = breakglass.NewFile(path, breakglass.Header{})
	g.Expect(err).To(MatchError(ContainSubstring("may hold the only copy")))
	g.Expect(first.Close()).To(Succeed())
	g.Expect(second.Close()).To(Succeed())
	left, err := os.ReadDir(filepath.Dir(path))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(left).To(HaveLen(1))
}
