package api_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

// maxMore is how many packages a package of API types compiles more than without an outbox.
const maxMore = 15

func TestItImportsLittleMoreThanApimachinery(t *testing.T) {
	g := NewWithT(t)
	packages := func(of string) []string {
		out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", of).Output()
		g.Expect(err).NotTo(HaveOccurred())
		return strings.Fields(string(out))
	}
	base := packages("k8s.io/apimachinery/pkg/apis/meta/v1")
	more := slices.DeleteFunc(packages("github.com/holdfast-dev/holdfast/outbox/api"), func(p string) bool { return slices.Contains(base, p) })
	g.Expect(len(more)).To(BeNumerically("<=", maxMore), "%s", more)
}
