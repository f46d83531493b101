package api_test

import (
	"os/exec"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

// A package of API types that imports this one is imported by everybody's clients.
func TestImportsLittleBesideAPIMachinery(t *testing.T) {
	g := NewWithT(t)
	packages := func(path string) map[string]bool {
		out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", path).Output()
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(out).NotTo(BeEmpty())
		set := map[string]bool{}
		for _, p := range strings.Fields(string(out)) {
			set[p] = true
		}
		return set
	}
	ours, theirs := packages("."), packages("k8s.io/apimachinery/pkg/apis/meta/v1")
	var more []string
	for p := range ours {
		if !theirs[p] {
			more = append(more, p)
		}
	}
	g.Expect(len(more)).To(BeNumerically("<=", 15), "%v", more)
}
