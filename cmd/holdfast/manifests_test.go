package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// A flag that the program does not know would stop every Pod of a roll-out.
func TestTheManifestsUseFlagsThatExist(t *testing.T) {
	for component, content := range map[string]func(*testing.T) []byte{"manager": manifest("manager"), "storage": manifest("storage"), "reports": manifest("reports"), "manager, sharded": shardedManifest} {
		t.Run(component, func(t *testing.T) {
			g := NewWithT(t)
			// A Deployment, or the StatefulSet that it becomes: what is looked at has the same place in both.
			deployment := &appsv1.Deployment{}
			g.Expect(yaml.Unmarshal(content(t), deployment)).To(Succeed())
			container := deployment.Spec.Template.Spec.Containers[0]

			command, rest, err := newRootCommand().Find(container.Args)
			g.Expect(err).NotTo(HaveOccurred())
			name, _, _ := strings.Cut(component, ",")
			g.Expect(command.Name()).To(Equal(name))
			g.Expect(command.ParseFlags(rest)).To(Succeed())
			g.Expect(command.Flags().Args()).To(BeEmpty())

			known := map[string]bool{"POD_NAME": true, "POD_NAMESPACE": true, "GOMEMLIMIT": true}
			for _, env := range container.Env {
				flag := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(env.Name, "HOLDFAST_")), "_", "-")
				g.Expect(known[env.Name] || command.Flags().Lookup(flag) != nil).To(BeTrue(), env.Name)
			}
		})
	}
}

// manifest reads a component's manifest as it is written.
func manifest(component string) func(*testing.T) []byte {
	return func(t *testing.T) []byte {
		t.Helper()
		g := NewWithT(t)
		content, err := os.ReadFile("../../config/" + component + "/deployment.yaml")
		g.Expect(err).NotTo(HaveOccurred())
		return content
	}
}

// shardedManifest builds the manager with its component.
func shardedManifest(t *testing.T) []byte {
	t.Helper()
	g := NewWithT(t)
	folder, err := os.MkdirTemp("../../config", "overlay-") //nolint:usetesting // kustomize reaches bases by relative paths only
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { g.Expect(os.RemoveAll(folder)).To(Succeed()) })
	content := "resources: [../manager]\ncomponents: [../manager/sharded]\n"
	g.Expect(os.WriteFile(filepath.Join(folder, "kustomization.yaml"), []byte(content), 0o600)).To(Succeed())
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	g.Expect(err).NotTo(HaveOccurred())
	for _, r := range built.Resources() {
		if r.GetKind() == "StatefulSet" {
			text, err := r.AsYAML()
			g.Expect(err).NotTo(HaveOccurred())
			return text
		}
	}
	t.Fatal("no StatefulSet")
	return nil
}
