//go:build unix

package storage

import (
	"fmt"
	"os"
	"testing"

	"github.com/go-logr/logr"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gexec"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/holdfast-dev/holdfast/internal/local/dev"
)

var program string

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	var err error
	if program, err = gexec.Build("github.com/holdfast-dev/holdfast/cmd/holdfast"); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	code := m.Run()
	gexec.CleanupBuildArtifacts()
	os.Exit(code)
}

// start brings up what `holdfast dev` does: rows cannot be removed, so each test has a database of its own.
func start(t *testing.T) *dev.Stack {
	t.Helper()
	stack, err := dev.Start(t.Context(), dev.Options{Dir: t.TempDir(), Program: program, Progress: t.Output()})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { NewWithT(t).Expect(stack.Stop()).To(Succeed()) })
	return stack
}
