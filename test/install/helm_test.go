//go:build unix

package install

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"helm.sh/helm/v4/pkg/action"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/kube"
	release "helm.sh/helm/v4/pkg/release/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// helm is Helm's library for a release in a namespace.
func (w *world) helm(t *testing.T, ns string) *action.Configuration {
	t.Helper()
	flags, kubeconfig := genericclioptions.NewConfigFlags(false), w.cluster.Kubeconfig()
	flags.KubeConfig, flags.Namespace = &kubeconfig, &ns
	config := action.NewConfiguration(action.ConfigurationSetLogger(slog.DiscardHandler))
	NewWithT(t).Expect(config.Init(flags, ns, "secret")).To(Succeed())
	return config
}

func (w *world) install(t *testing.T, ns string, c *chart.Chart, given map[string]any) (*release.Release, error) {
	t.Helper()
	install := action.NewInstall(w.helm(t, ns))
	install.ReleaseName, install.Namespace, install.CreateNamespace, install.WaitStrategy, install.Timeout = "holdfast", ns, true, kube.HookOnlyStrategy, timeout
	made, err := install.RunWithContext(ctx, c, given)
	if err != nil {
		return nil, err
	}
	return made.(*release.Release), nil
}

// upgrade is `helm upgrade holdfast charts/holdfast --reset-then-reuse-values`, as check says.
func (w *world) upgrade(t *testing.T, given map[string]any) {
	t.Helper()
	upgrade := action.NewUpgrade(w.helm(t, namespace))
	upgrade.Namespace, upgrade.WaitStrategy, upgrade.Timeout, upgrade.ResetThenReuseValues = namespace, kube.HookOnlyStrategy, timeout, true
	_, err := upgrade.RunWithContext(ctx, "holdfast", loadChart(t), given)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
}

func (w *world) uninstall(t *testing.T) error {
	t.Helper()
	uninstall := action.NewUninstall(w.helm(t, namespace))
	uninstall.WaitStrategy, uninstall.Timeout = kube.HookOnlyStrategy, timeout
	_, err := uninstall.Run("holdfast")
	return err
}

// before is the chart as a release before had it: without a field in one of the definitions.
func before(t *testing.T) *chart.Chart {
	t.Helper()
	g := NewWithT(t)
	c := loadChart(t)
	for _, file := range c.Files {
		if !strings.HasSuffix(file.Name, "_remediationrequests.yaml") {
			continue
		}
		crd := &apiextensionsv1.CustomResourceDefinition{}
		g.Expect(yaml.Unmarshal(file.Data, crd)).To(Succeed())
		status := crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["status"]
		g.Expect(status.Properties).To(HaveKey("cancelledBy"))
		delete(status.Properties, "cancelledBy")
		text, err := yaml.Marshal(crd)
		g.Expect(err).NotTo(HaveOccurred())
		file.Data = text
	}
	return c
}

// An installation beside a Cluster of CloudNativePG, from nothing until nothing is left: with the migration in a hook, an upgrade while entries are pending, an uninstallation that is refused
// while a resource needs the manager, and one that is not.
func TestTheChartOnAnAPIServer(t *testing.T) {
	g, w := NewWithT(t), servers(t)
	given := values(t, "database: {cnpgCluster: audit}\nmigrate: {enabled: true, existingSecret: audit-app, key: uri}\nuninstall: {drainTimeout: 3s}")
	w.prepare(t, "audit-app", "uri")
	atFirst := w.inventory(t)

	ran, stopJobs := w.runJobs(t)
	defer stopJobs()
	made, err := w.install(t, namespace, before(t), given)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(ran.of("holdfast-migrate").Code).To(Equal(0), "%+v", ran.of("holdfast-migrate"))
	g.Expect(made.Info.Notes).To(ContainSubstring("kubectl holdfast check --wait"))
	t.Log(made.Info.Notes)

	_, err = w.install(t, "second", loadChart(t), given)
	g.Expect(err).To(MatchError(ContainSubstring(`must equal "second"`)), "Helm refuses a second installation")

	stop := w.startManager(t)
	checked := w.check(t)
	g.Expect(checked).To(HaveField("Stdout", MatchRegexp(`definition remediationrequests\s.*status\.cancelledBy`)))
	g.Expect(checked).To(HaveField("Stdout", ContainSubstring("helm upgrade holdfast charts/holdfast --reset-then-reuse-values -n holdfast-system")))
	t.Log(checked.Stdout)
	request := w.request(t, "before")
	w.finished(t, request)
	stop()

	pending := w.request(t, "pending") // its entries wait until the manager of the new release
	w.upgrade(t, map[string]any{"commonLabels": map[string]any{"team": "platform"}})
	stop = w.startManager(t)
	checked = w.check(t, "--wait", "--timeout", "1m")
	g.Expect(checked.Code).To(Equal(0), "%s%s", checked.Stdout, checked.Stderr)
	t.Log(checked.Stdout)
	w.finished(t, pending)
	g.Expect(w.run(t, "holdfast", "drain", "--timeout", "1m")).To(And(HaveField("Code", 0), HaveField("Stdout", "Nothing is pending, and no resource has the finalizer holdfast.dev/outbox.\n")))
	stop()

	stranded := w.request(t, "stranded") // it has the finalizer, and no manager has seen it
	g.Expect(w.uninstall(t)).To(MatchError(ContainSubstring("holdfast-drain")))
	refused := ran.of("holdfast-drain")
	g.Expect(refused).To(And(HaveField("Code", 124), HaveField("Stderr", ContainSubstring("delete remediationrequests.holdfast.dev --all -A"))))
	t.Logf("%s%s", refused.Stderr, refused.Stdout)
	w.startManager(t)
	g.Expect(w.check(t, "--wait", "--timeout", "1m")).To(HaveField("Code", 0), "nothing was removed")

	w.finished(t, stranded)
	w.cleared(t, request, pending, stranded)
	g.Expect(w.uninstall(t)).To(Succeed())
	g.Expect(added(atFirst, w.inventory(t))).To(Equal(left))
	verified := w.runWith(t, []string{"HOLDFAST_DATABASE_URL=" + w.databaseURL}, "holdfast", "verify")
	g.Expect(verified).To(And(HaveField("Code", 0), HaveField("Stdout", HavePrefix("The trail is whole."))), "%+v", verified)
	w.deleteDefinitions(t)
	g.Eventually(func() []string { return added(atFirst, w.inventory(t)) }, timeout, time.Second).Should(BeEmpty())
}

// cleared deletes requests and what they made, and waits until all of it is gone. The garbage collector, which does the second, is not here.
func (w *world) cleared(t *testing.T, requests ...*unstructured.Unstructured) {
	t.Helper()
	g := NewWithT(t)
	for _, o := range requests {
		g.Expect(w.client.Delete(ctx, o, client.PropagationPolicy("Background"))).To(Succeed())
	}
	for _, o := range requests {
		w.gone(t, o)
	}
	for _, o := range w.children(t) { // no more come: a request that is gone makes none
		g.Expect(client.IgnoreNotFound(w.client.Delete(ctx, o))).To(Succeed())
		w.gone(t, o)
	}
}
