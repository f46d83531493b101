package main

import (
	"os"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/yaml"
)

// A flag that the program does not know would stop every Pod of a roll-out.
func TestTheManifestsUseFlagsThatExist(t *testing.T) {
	for _, component := range []string{"manager", "storage"} {
		t.Run(component, func(t *testing.T) {
			g := NewWithT(t)
			content, err := os.ReadFile("../../config/" + component + "/deployment.yaml")
			g.Expect(err).NotTo(HaveOccurred())
			deployment := &appsv1.Deployment{}
			g.Expect(yaml.UnmarshalStrict(content, deployment)).To(Succeed())
			container := deployment.Spec.Template.Spec.Containers[0]

			command, rest, err := newRootCommand().Find(container.Args)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(command.Name()).To(Equal(component))
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
