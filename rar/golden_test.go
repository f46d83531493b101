package rar_test

import (
	"bytes"
	"flag"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/rar"
)

var update = flag.Bool("update", false, "write testdata/golden anew")

func render(t *testing.T, r *rar.Report, format string) []byte {
	t.Helper()
	var text bytes.Buffer
	NewWithT(t).Expect(rar.Render(&text, r, format)).To(Succeed())
	return text.Bytes()
}

func TestReportsAreAsTheyWere(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(histories)) {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			r := rar.Build(histories[name](t))
			for _, format := range rar.Formats() {
				file := filepath.Join("testdata", "golden", name+"."+format)
				got := render(t, r, format)
				if *update {
					g.Expect(os.MkdirAll(filepath.Dir(file), 0o755)).To(Succeed())
					g.Expect(os.WriteFile(file, got, 0o644)).To(Succeed())
					continue
				}
				want, err := os.ReadFile(file)
				g.Expect(err).NotTo(HaveOccurred(), "write it with -update")
				g.Expect(string(got)).To(Equal(string(want)), "%s differs: look at it, then -update", file)
			}
		})
	}
}

// The order in which a database returns rows changes no byte.
func TestTheOrderOfTheInputDoesNotMatter(t *testing.T) {
	for name, make := range histories {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			in := make(t)
			want := rar.Build(in)
			random := rand.New(rand.NewPCG(1, 2))
			for range 20 {
				random.Shuffle(len(in.Rows), func(i, j int) { in.Rows[i], in.Rows[j] = in.Rows[j], in.Rows[i] })
				random.Shuffle(len(in.Earlier), func(i, j int) { in.Earlier[i], in.Earlier[j] = in.Earlier[j], in.Earlier[i] })
				got := rar.Build(in)
				for _, format := range rar.Formats() {
					g.Expect(render(t, got, format)).To(Equal(render(t, want, format)))
				}
			}
		})
	}
}
