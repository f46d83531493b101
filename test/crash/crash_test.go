package crash

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	. "github.com/onsi/gomega"
)

const golden = "testdata/boundaries.txt"

// boundary is a line of the golden file: what is passed, and the first scenario that passes it.
type boundary struct{ scenario, name string }

func TestAManagerMayDieAnywhere(t *testing.T) {
	all := map[string]*scenario{}
	var known []boundary
	if !*update {
		known = boundaries(t)
	}
	recorded := record(t, all)
	if t.Failed() {
		return
	}
	if *update {
		known = write(t, recorded)
	}
	compareGolden(t, known, recorded)
	t.Run("dies at", func(t *testing.T) {
		for _, b := range known {
			t.Run(b.name, func(t *testing.T) {
				t.Parallel()
				s := all[b.scenario]
				w := newWorld(t, s)
				for _, side := range []string{"before", "after"} {
					if w.dies(s, b.name+":1:"+side) {
						continue
					}
					// Who comes after a dead manager may go another way.
					w.finish(s)
					w = newWorld(t, s)
					w.Expect(w.dies(s, b.name+":1:"+side)).To(BeTrue(), "the work was done without passing %s", b.name)
				}
				w.finish(s)
			})
		}
	})
	t.Logf("%d boundaries, a death before and a death after each", len(known))
}

// record runs each scenario undisturbed and returns the boundaries that were passed, by scenario.
func record(t *testing.T, all map[string]*scenario) map[string][]string {
	recorded := map[string][]string{}
	var mu sync.Mutex
	t.Run("undisturbed", func(t *testing.T) {
		for _, s := range scenarios() {
			all[s.name] = s
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, s)
				log := filepath.Join(w.logs, "boundaries.log")
				w.finish(s, "HOLDFAST_FAILPOINT_LOG="+log)
				names := w.passed(log)
				slices.Sort(names)
				mu.Lock()
				defer mu.Unlock()
				recorded[s.name] = slices.Compact(names)
			})
		}
	})
	return recorded
}

// compareGolden fails for a boundary that is passed and not known, and for one that is known and no longer passed.
func compareGolden(t *testing.T, known []boundary, recorded map[string][]string) {
	t.Helper()
	names := map[string]bool{}
	for _, b := range known {
		names[b.name] = true
		if !slices.Contains(recorded[b.scenario], b.name) {
			t.Errorf("%s knows %q, which scenario %s does not pass any more", golden, b.name, b.scenario)
		}
	}
	for s, passed := range recorded {
		for _, name := range passed {
			if !names[name] {
				t.Errorf("scenario %s passes %q, which %s does not know: see \"Crash points\" in CONTRIBUTING.md", s, name, golden)
			}
		}
	}
}

func boundaries(t *testing.T) (all []boundary) {
	t.Helper()
	f, err := os.Open(golden)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if scenario, name, ok := strings.Cut(lines.Text(), ": "); ok && !strings.HasPrefix(scenario, "#") {
			all = append(all, boundary{scenario, name})
		}
	}
	return all
}

func write(t *testing.T, recorded map[string][]string) (all []boundary) {
	t.Helper()
	seen := map[string]bool{}
	var text strings.Builder
	fmt.Fprintln(&text, "# Every boundary at which a manager is killed, and the scenario in which that is done. Written by: go test ./test/crash -update")
	for _, s := range scenarios() {
		for _, name := range recorded[s.name] {
			if !seen[name] && (s.disturb != nil || !strings.HasPrefix(name, "get ")) { // only a conflict makes sure of a read past the cache
				seen[name] = true
				all = append(all, boundary{s.name, name})
				fmt.Fprintf(&text, "%s: %s\n", s.name, name)
			}
		}
	}
	NewWithT(t).Expect(os.WriteFile(golden, []byte(text.String()), 0o644)).To(Succeed())
	t.Logf("%d boundaries of %d scenarios", len(all), len(slices.Collect(maps.Keys(recorded))))
	return all
}
