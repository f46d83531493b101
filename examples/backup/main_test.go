package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
)

// The variable has a password, and help prints defaults.
func TestHelpDoesNotShowTheDatabaseURL(t *testing.T) {
	g := NewWithT(t)
	program := filepath.Join(t.TempDir(), "backup")
	built, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput()
	g.Expect(err).NotTo(HaveOccurred(), string(built))
	for _, arg := range []string{"-h", "-nonsense"} {
		help := exec.Command(program, arg)
		help.Env = append(os.Environ(), "HOLDFAST_DATABASE_URL=postgres://me:sesame@db.invalid/audit")
		text, err := help.CombinedOutput()
		g.Expect(string(text)).To(And(ContainSubstring("-database-url"), Not(ContainSubstring("sesame"))), "%v", err)
	}
}
