package install

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/loader"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	release "helm.sh/helm/v4/pkg/release/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

const (
	namespace = "holdfast-system"
	chartDir  = "../../charts/holdfast"
)

// loadChart reads the chart anew, since Helm changes what it is given.
func loadChart(t *testing.T) *chart.Chart {
	t.Helper()
	loaded, err := loader.Load(chartDir)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return loaded.(*chart.Chart)
}

// values are what a chart is given: YAML over what every release needs.
func values(t *testing.T, text string) map[string]any {
	t.Helper()
	all := map[string]any{}
	NewWithT(t).Expect(yaml.Unmarshal([]byte("image: {repository: holdfast, tag: latest}\n"+text), &all)).To(Succeed())
	return all
}

// template is `helm template`, without a cluster.
func template(t *testing.T, given map[string]any) (*release.Release, error) {
	t.Helper()
	install := action.NewInstall(action.NewConfiguration())
	install.DryRunStrategy = action.DryRunClient
	install.ReleaseName, install.Namespace = "holdfast", namespace
	install.KubeVersion = &common.KubeVersion{Version: "v1.37.0", Major: "1", Minor: "37"}
	made, err := install.RunWithContext(t.Context(), loadChart(t), given)
	if err != nil {
		return nil, err
	}
	return made.(*release.Release), nil
}

// rendered are the objects of a release, hooks aside.
func rendered(t *testing.T, text string) []*unstructured.Unstructured {
	t.Helper()
	made, err := template(t, values(t, text))
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return decode(t, made.Manifest)
}

// everything is all that a release has: objects, hooks and notes.
func everything(t *testing.T, given map[string]any) string {
	t.Helper()
	made, err := template(t, given)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	all := []string{made.Manifest, made.Info.Notes}
	for _, hook := range made.Hooks {
		all = append(all, hook.Manifest)
	}
	return strings.Join(all, "\n---\n")
}

func decode(t *testing.T, manifest string) []*unstructured.Unstructured {
	t.Helper()
	decoder := utilyaml.NewYAMLOrJSONDecoder(strings.NewReader(manifest), 4096)
	var all []*unstructured.Unstructured
	for {
		o := &unstructured.Unstructured{}
		err := decoder.Decode(o)
		if errors.Is(err, io.EOF) {
			return all
		}
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
		if len(o.Object) > 0 {
			all = append(all, o)
		}
	}
}

// kustomized are the objects of a kustomization with these resources and components of config.
func kustomized(t *testing.T, content string) []*unstructured.Unstructured {
	t.Helper()
	g := NewWithT(t)
	folder, err := os.MkdirTemp("../../config", "overlay-") //nolint:usetesting // kustomize reaches bases by relative paths only
	g.Expect(err).NotTo(HaveOccurred())
	defer os.RemoveAll(folder)
	text := "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n" + content
	g.Expect(os.WriteFile(filepath.Join(folder, "kustomization.yaml"), []byte(text), 0o600)).To(Succeed())
	return built(t, folder)
}

// built are the objects of a kustomization in a folder.
func built(t *testing.T, folder string) []*unstructured.Unstructured {
	t.Helper()
	g := NewWithT(t)
	made, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	g.Expect(err).NotTo(HaveOccurred())
	manifest, err := made.AsYaml()
	g.Expect(err).NotTo(HaveOccurred())
	return decode(t, string(manifest))
}

// normal is an object's text, without what the two ways may differ in: the order of keys, variables and volumes, and the annotation that makes Helm keep the definitions.
func normal(t *testing.T, o *unstructured.Unstructured) string {
	t.Helper()
	g := NewWithT(t)
	o = o.DeepCopy()
	annotations := o.GetAnnotations()
	delete(annotations, "helm.sh/resource-policy")
	o.SetAnnotations(annotations)
	if pod, found, _ := unstructured.NestedFieldNoCopy(o.Object, "spec", "template", "spec"); found {
		sortByName(pod.(map[string]any), "volumes")
		for _, container := range pod.(map[string]any)["containers"].([]any) {
			sortByName(container.(map[string]any), "env", "volumeMounts")
		}
	}
	text, err := yaml.Marshal(o.Object)
	g.Expect(err).NotTo(HaveOccurred())
	return string(text)
}

func sortByName(in map[string]any, lists ...string) {
	for _, list := range lists {
		if all, ok := in[list].([]any); ok {
			slices.SortFunc(all, func(a, b any) int {
				return strings.Compare(fmt.Sprint(a.(map[string]any)["name"]), fmt.Sprint(b.(map[string]any)["name"]))
			})
		}
	}
}

func nameOf(o *unstructured.Unstructured) string {
	return fmt.Sprintf("%s %s/%s", o.GroupVersionKind().GroupKind(), o.GetNamespace(), o.GetName())
}

// byName indexes the objects, the Namespace aside: Helm has made it before it renders anything.
func byName(t *testing.T, all []*unstructured.Unstructured) map[string]string {
	t.Helper()
	index := map[string]string{}
	for _, o := range all {
		if o.GetKind() != "Namespace" {
			NewWithT(t).Expect(index).NotTo(HaveKey(nameOf(o)))
			index[nameOf(o)] = normal(t, o)
		}
	}
	return index
}

func TestTheChartIsWhatKustomizeBuilds(t *testing.T) {
	for name, c := range map[string]struct{ values, kustomization string }{
		"default": {"", "resources: [../default]"},
		"sharded": {"manager: {shards: 2}", "resources: [../default]\ncomponents: [../manager/sharded]"},
		"storage": {"storage: {enabled: true}", "resources: [../default, ../storage]"},
		"relayed": {"storage: {enabled: true}\nmanager: {relayed: {enabled: true}}", "resources: [../default, ../storage]\ncomponents: [../manager/relayed]"},
		"relayed, sharded": {"storage: {enabled: true}\nmanager: {shards: 2, relayed: {enabled: true}}",
			"resources: [../default, ../storage]\ncomponents: [../manager/relayed, ../manager/sharded]"},
		"reports":    {"reports: {enabled: true}", "resources: [../default, ../reports]"},
		"narrator":   {"reports: {enabled: true, narrator: {enabled: true}}", "resources: [../default, ../reports]\ncomponents: [../reports/narrator]"},
		"gateway":    {"gateway: {enabled: true}", "resources: [../default, ../gateway]"},
		"monitoring": {"monitoring: {podMonitors: true, rules: true}", "resources: [../default, ../prometheus]"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			is, want := byName(t, rendered(t, c.values)), byName(t, kustomized(t, c.kustomization))
			for object, text := range want {
				g.Expect(is[object]).To(Equal(text), "%s: chart first, kustomize second", object)
				delete(is, object)
			}
			g.Expect(is).To(BeEmpty(), "objects of the chart that kustomize does not build")
		})
	}
}

func TestTheChartFollowsTheNamespaceOfItsRelease(t *testing.T) {
	all := "storage: {enabled: true}\nreports: {enabled: true}\ngateway: {enabled: true}\nmanager: {shards: 2, relayed: {enabled: true}}\nmonitoring: {podMonitors: true, rules: true}\nmigrate: {enabled: true}"
	text := everything(t, values(t, all))
	install := action.NewInstall(action.NewConfiguration())
	install.DryRunStrategy, install.ReleaseName, install.Namespace = action.DryRunClient, "holdfast", "audit"
	install.KubeVersion = &common.KubeVersion{Version: "v1.37.0", Major: "1", Minor: "37"}
	made, err := install.RunWithContext(t.Context(), loadChart(t), values(t, all))
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	elsewhere := []string{made.(*release.Release).Manifest, made.(*release.Release).Info.Notes}
	for _, hook := range made.(*release.Release).Hooks {
		elsewhere = append(elsewhere, hook.Manifest)
	}
	var differing []string
	is, want := strings.Split(strings.Join(elsewhere, "\n---\n"), "\n"), strings.Split(text, "\n")
	NewWithT(t).Expect(is).To(HaveLen(len(want)))
	for i := range want {
		if strings.Contains(want[i], namespace) && is[i] == want[i] {
			differing = append(differing, want[i])
		}
	}
	NewWithT(t).Expect(differing).To(BeEmpty(), "lines that name %s in every namespace", namespace)
}

func TestHelmKeepsTheDefinitions(t *testing.T) {
	g := NewWithT(t)
	kept := func(text string) (n int) {
		for _, o := range rendered(t, text) {
			if o.GetKind() == "CustomResourceDefinition" && o.GetAnnotations()["helm.sh/resource-policy"] == "keep" {
				n++
			}
		}
		return n
	}
	g.Expect(kept("")).To(Equal(4))
	g.Expect(kept("crds: {keep: false}")).To(Equal(0))
	g.Expect(everything(t, values(t, "crds: {enabled: false}"))).NotTo(ContainSubstring("kind: CustomResourceDefinition"))
}
