//go:build unix

package install

import (
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"helm.sh/helm/v4/pkg/chart/loader"
	chart "helm.sh/helm/v4/pkg/chart/v2"

	"github.com/holdfast-dev/holdfast/test/upgrade"
)

// The release before is installed, and used. With entries that only the resources have it is upgraded, and uninstalled: nothing is left, and nothing lost.
func TestUpgradeFromTheReleaseBefore(t *testing.T) {
	w, before := servers(t), upgrade.TheReleaseBefore(t)
	t.Logf("upgrading from %s", before.Name)
	old := *w
	old.programs = filepath.Dir(before.Program)
	for way, c := range map[string]struct{ install, upgrade, uninstall func(t *testing.T) }{
		"chart": {
			func(t *testing.T) {
				loaded, err := loader.Load(filepath.Join(before.Source, "charts", "holdfast"))
				NewWithT(t).Expect(err).NotTo(HaveOccurred())
				_, err = w.install(t, namespace, loaded.(*chart.Chart), values(t, "uninstall: {drainTimeout: 1m}"))
				NewWithT(t).Expect(err).NotTo(HaveOccurred())
			},
			func(t *testing.T) { w.upgrade(t, nil) },
			func(t *testing.T) {
				_, stop := w.runJobs(t)
				defer stop()
				NewWithT(t).Expect(w.uninstall(t)).To(Succeed())
				w.deleteDefinitions(t)
			},
		},
		"kustomize": {
			func(t *testing.T) { w.apply(t, built(t, filepath.Join(before.Source, "config", "default"))) },
			func(t *testing.T) { w.apply(t, kustomized(t, "resources: [../default]")) },
			func(t *testing.T) { w.remove(t, kustomized(t, "resources: [../default]")) },
		},
	} {
		t.Run(way, func(t *testing.T) {
			g := NewWithT(t)
			w.prepare(t, "holdfast-database", "url")
			old.databaseURL = w.databaseURL
			old.migrate(t)
			atFirst := w.inventory(t)
			c.install(t)

			stop := old.startManager(t)
			stored := w.request(t, "stored")
			w.finished(t, stored)
			stop()
			stop = old.startManagerWith(t, "HOLDFAST_DATABASE_URL=postgres://nobody:x@127.0.0.1:1/none?sslmode=disable")
			pending := w.request(t, "pending")
			w.finished(t, pending)
			g.Expect(w.pendingOf(t, pending)).To(BeNumerically(">", 0))
			stop()

			w.migrate(t)
			c.upgrade(t)
			stop = w.startManager(t)
			checked := w.check(t, "--wait", "--timeout", "1m")
			g.Expect(checked.Code).To(Equal(0), "%s%s", checked.Stdout, checked.Stderr)
			w.cleared(t, stored, pending)
			stop()
			c.uninstall(t)
			g.Eventually(func() []string { return added(atFirst, w.inventory(t)) }, timeout, time.Second).Should(BeEmpty())
			verified := w.runWith(t, []string{"HOLDFAST_DATABASE_URL=" + w.databaseURL}, "holdfast", "verify")
			g.Expect(verified).To(And(HaveField("Code", 0), HaveField("Stdout", HavePrefix("The trail is whole."))), "%+v", verified)
		})
	}
}
