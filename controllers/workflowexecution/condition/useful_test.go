package condition_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/controllers/workflowexecution/condition"
	"github.com/holdfast-dev/holdfast/internal/catalogue"
)

// useful are expressions as people write them. All of them are true of busy.
var useful = []string{
	"target.spec.replicas >= 1",
	"target.status.availableReplicas >= target.spec.replicas",
	"target.status.conditions.exists(c, c.type == 'Available' && c.status == 'True')",
	"target.spec.template.spec.containers.all(c, c.image.startsWith('registry.example.com/'))",
	"target.spec.template.spec.containers.all(c, !c.image.endsWith(':latest'))",
	"target.spec.template.spec.containers.all(c, c.image.matches('^registry[.]example[.]com/[a-z0-9/-]+:[0-9]+([.][0-9]+){1,2}$'))",
	"target.spec.template.spec.containers.all(c, c.image.split(':')[1].split('.').size() == 3)",
	"target.spec.template.spec.containers.exists(c, c.env.exists(e, e.name == 'LEVEL_7' && e.value.contains('x')))",
	"target.spec.template.spec.containers.all(c, c.volumeMounts.all(m, target.spec.template.spec.volumes.exists(v, v.name == m.name)))",
	"target.spec.template.spec.containers.map(c, c.name).join(',') == 'app,proxy'",
	"target.spec.template.spec.containers.filter(c, c.name == 'app').all(c, quantity(c.resources.limits.memory).isLessThan(quantity('4Gi')))",
	"quantity(target.spec.template.spec.containers[0].resources.limits.memory).compareTo(quantity('128Mi')) > 0",
	"quantity('1Gi').add(quantity('512Mi')).sub(1).asInteger() < 2000000000",
	"target.spec.template.spec.containers.all(c, has(c.resources) && isQuantity(c.resources.limits.memory))",
	"target.?metadata.?annotations[?'example.com/owner'].orValue('nobody') == 'shop'",
	"target.?metadata.?annotations.optMap(a, a.size()).orValue(0) >= 1",
	"target.?spec.?nothing.optFlatMap(a, a.?b).orValue('c') == 'c'",
	"target.?spec.?replicas.optMap(n, n * 2).optMap(n, n + 1).value() == 7",
	"!has(target.metadata.deletionTimestamp)",
	"target.metadata.labels == target.spec.selector.matchLabels",
	"'shop' in target.metadata.labels.map(k, target.metadata.labels[k])",
	"target.metadata.labels.all(k, k.matches('^[a-z0-9./-]+$') && target.metadata.labels[k].size() < 64)",
	"target.spec.strategy.type in ['RollingUpdate', 'Recreate']",
	"timestamp(target.metadata.creationTimestamp) > timestamp('2020-01-01T00:00:00Z')",
	"timestamp(target.metadata.creationTimestamp).getFullYear() == 2026 && timestamp(target.metadata.creationTimestamp).getHours('Europe/Zurich') == 5",
	"duration(string(target.spec.progressDeadlineSeconds) + 's') <= duration('10m')",
	"'%s/%s has %d of %d'.format([target.metadata.namespace, target.metadata.name, target.status.availableReplicas, target.spec.replicas]) == 'shop/cart has 3 of 3'",
	"target.metadata.name.upperAscii().replace('C', 'K').substring(0, 2).trim() == 'KA'",
	"target.metadata.name.indexOf('r') == 2 && target.metadata.name.charAt(0) == 'c'",
	"{'a': 1, 'b': target.spec.replicas}.exists(k, k == 'b')",
	"(target.spec.replicas > 1 ? target.status.readyReplicas : target.status.replicas) >= 1",
	"target.status.unavailableReplicas == 0",
}

// busy is a Deployment with more of everything than most have.
func busy() map[string]any {
	container := func(name string) map[string]any {
		var env, mounts []any
		for i := range 100 {
			env = append(env, map[string]any{"name": "LEVEL_" + string(rune('0'+i%10)), "value": strings.Repeat("x", 100)})
		}
		for i := range 20 {
			mounts = append(mounts, map[string]any{"name": "volume-" + string(rune('a'+i)), "mountPath": "/var/lib/" + string(rune('a'+i))})
		}
		return map[string]any{"name": name, "image": "registry.example.com/shop/cart:1.4.2", "env": env, "volumeMounts": mounts,
			"resources": map[string]any{"limits": map[string]any{"memory": "256Mi"}}}
	}
	var volumes []any
	for i := range 20 {
		volumes = append(volumes, map[string]any{"name": "volume-" + string(rune('a'+i)), "emptyDir": map[string]any{}})
	}
	labels := map[string]any{"app": "cart", "team": "shop", "app.kubernetes.io/part-of": "web"}
	return map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment",
		"metadata": map[string]any{"namespace": "shop", "name": "cart", "generation": int64(7), "labels": labels, "creationTimestamp": "2026-11-23T04:05:06Z",
			"annotations": map[string]any{"example.com/owner": "shop", "notes": strings.Repeat("long ", 40_000)}},
		"spec": map[string]any{"replicas": int64(3), "progressDeadlineSeconds": int64(600), "selector": map[string]any{"matchLabels": labels}, "strategy": map[string]any{"type": "RollingUpdate"},
			"template": map[string]any{"spec": map[string]any{"containers": []any{container("app"), container("proxy")}, "volumes": volumes}}},
		"status": map[string]any{"observedGeneration": int64(7), "replicas": int64(3), "readyReplicas": int64(3), "availableReplicas": int64(3),
			"conditions": []any{map[string]any{"type": "Progressing", "status": "True"}, map[string]any{"type": "Available", "status": "True"}}},
	}
}

func TestWhatPeopleWriteHolds(t *testing.T) {
	target := busy()
	for _, expression := range useful {
		t.Run(expression, func(t *testing.T) {
			g := NewWithT(t)
			c, err := condition.Compile(expression)
			g.Expect(err).NotTo(HaveOccurred())
			holds, message, err := condition.NewLook(target).Holds(t.Context(), c)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(holds).To(BeTrue(), message)
			estimate, err := condition.Estimate(expression)
			g.Expect(err).NotTo(HaveOccurred())
			work, memory, _ := c.Spend(t.Context(), target)
			t.Logf("estimate %d, work %d, memory %d", estimate, work, memory)
			g.Expect(work).To(BeNumerically("<", condition.MaxWork/10), "there is room for much more")
			g.Expect(memory).To(BeNumerically("<", condition.MaxMemory/20))
		})
	}
}

// Whatever the catalogue, the samples, the documentation and the types' comments say must pass.
func TestWhatTheProjectWritesCompiles(t *testing.T) {
	g := NewWithT(t)
	var all []string
	c, err := catalogue.Default()
	g.Expect(err).NotTo(HaveOccurred())
	for _, id := range c.IDs() {
		w, _ := c.Get(id)
		for _, condition := range append(w.PreConditions, w.PostConditions...) {
			all = append(all, condition.Expression)
		}
		for _, step := range w.Steps {
			if expression, waits := step.Parameters["for"]; waits {
				all = append(all, string(expression))
			}
		}
	}
	written := regexp.MustCompile(`(?:expression|for): *(?:"([^"]+)"|([^"\n]+))`)
	for _, path := range []string{"../../../config/samples/workflowexecution.yaml", "../../../docs/kinds/workflowexecution.md"} {
		text, err := os.ReadFile(path)
		g.Expect(err).NotTo(HaveOccurred())
		found := written.FindAllStringSubmatch(string(text), -1)
		g.Expect(found).NotTo(BeEmpty(), path)
		for _, m := range found {
			all = append(all, m[1]+m[2])
		}
	}
	g.Expect(len(all)).To(BeNumerically(">", 30))
	for _, expression := range all {
		_, err := condition.Compile(expression)
		g.Expect(err).NotTo(HaveOccurred(), expression)
	}
}
