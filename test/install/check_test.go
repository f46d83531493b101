//go:build unix

package install

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// finding is a check that is not ok.
type finding struct{ Check, State, Detail, Command string }

// findings are the checks that are not ok, managers aside: none runs here.
func (w *world) findings(t *testing.T, args ...string) (found []finding) {
	t.Helper()
	g := NewWithT(t)
	said := w.check(t, append([]string{"-o", "json"}, args...)...)
	var result struct{ Checks []finding }
	g.Expect(json.Unmarshal([]byte(said.Stdout), &result)).To(Succeed(), "%+v", said)
	g.Expect(result.Checks).NotTo(BeEmpty())
	for _, f := range result.Checks {
		if f.State != "ok" && f.Check != "managers" {
			found = append(found, f)
		}
	}
	return found
}

func (w *world) green(t *testing.T) {
	t.Helper()
	NewWithT(t).Eventually(func() []finding { return w.findings(t) }, timeout, interval).Should(BeEmpty())
}

// expected says which check finds that an object is missing; "" is none: what an installation can do without, or what another object's line is about.
func expected(o *unstructured.Unstructured) (check, command string) {
	switch o.GetKind() {
	case "CustomResourceDefinition":
		plural, _, _ := strings.Cut(o.GetName(), ".")
		return "definition " + plural, "apply -k config/crd"
	case "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding":
		return "policy " + o.GetName(), "apply -k config/admission"
	case "Deployment":
		return "workload", "apply -k your-overlay"
	case "ServiceAccount":
		return "account", "apply -k config/rbac"
	case "Secret":
		return "secret holdfast-database", "create secret generic holdfast-database --from-literal=url="
	case "ClusterRole":
		if o.GetName() != "holdfast-manager" {
			return "roles", "apply -k config/rbac"
		}
		return "rights", "apply -k config/rbac"
	default: // roles and bindings
		return "rights", "apply -k config/rbac"
	}
}

// Each object is left out alone. Afterwards it is there again, and check is green.
func TestCheckNamesWhateverWasLeftOut(t *testing.T) {
	w := servers(t)
	w.prepare(t, "holdfast-database", "url")
	w.migrate(t)
	secret := &unstructured.Unstructured{Object: map[string]any{"stringData": map[string]any{"url": w.databaseURL}}}
	secret.SetAPIVersion("v1")
	secret.SetKind("Secret")
	secret.SetName("holdfast-database")
	secret.SetNamespace(namespace)
	objects := append(kustomized(t, "resources: [../default]"), secret)
	w.apply(t, objects)
	defer w.remove(t, objects)
	w.green(t)
	for _, o := range objects {
		if o.GetKind() == "Namespace" {
			continue
		}
		t.Run(o.GetKind()+" "+o.GetName(), func(t *testing.T) {
			g := NewWithT(t)
			check, command := expected(o)
			g.Expect(w.client.Delete(ctx, o.DeepCopy())).To(Succeed())
			if o.GetKind() == "CustomResourceDefinition" {
				w.gone(t, o.DeepCopy())
			}
			g.Eventually(func() []finding { return w.findings(t) }, timeout, interval).Should(ContainElement(And(
				HaveField("Check", check), HaveField("State", "failed"), HaveField("Detail", Not(BeEmpty())), HaveField("Command", ContainSubstring(command)))))
			w.put(t, o)
			if strings.HasPrefix(check, "definition ") {
				g.Eventually(func() []finding { return w.findings(t) }, timeout, interval).ShouldNot(ContainElement(HaveField("Check", check)))
			}
		})
	}
	w.green(t)
}

// published is what the API server says that it serves: it follows a definition a moment later.
func (w *world) published() string {
	var all string
	for _, path := range []string{"/openapi/v3/apis/holdfast.dev/v1alpha1", "/apis/holdfast.dev/v1alpha1"} {
		text, err := w.clientset.Discovery().RESTClient().Get().AbsPath(path).SetHeader("Accept", "application/json").Do(ctx).Raw()
		if err == nil {
			all += string(text)
		}
	}
	return all
}

func TestCheckNamesWhatIsOfAnotherRelease(t *testing.T) {
	g, w := NewWithT(t), servers(t)
	w.prepare(t, "holdfast-database", "url")
	objects := kustomized(t, "resources: [../default]")
	w.migrate(t)
	w.apply(t, objects)
	defer w.remove(t, objects)

	t.Run("a newer definition", func(t *testing.T) {
		g := NewWithT(t)
		for _, o := range objects {
			if o.GetName() != "aianalyses.holdfast.dev" {
				continue
			}
			newer := o.DeepCopy()
			versions, _, _ := unstructured.NestedSlice(newer.Object, "spec", "versions")
			g.Expect(unstructured.SetNestedMap(versions[0].(map[string]any), map[string]any{"type": "string"}, "schema", "openAPIV3Schema", "properties", "status", "properties", "invented")).To(Succeed())
			g.Expect(unstructured.SetNestedSlice(newer.Object, versions, "spec", "versions")).To(Succeed())
			w.put(t, newer)
			g.Expect(w.findings(t)).To(ContainElement(And(HaveField("Check", "definition aianalyses"), HaveField("Detail", ContainSubstring("newer release than this program")), HaveField("Detail", ContainSubstring("status.invented")))))
			g.Eventually(w.published, timeout, interval).Should(ContainSubstring("invented"))
			w.managerLog(t, "has status.invented, which this release does not know: it is older than the definition, and drops such fields; run the release of the definition")
			w.put(t, o)
		}
	})

	t.Run("the manager's start", func(t *testing.T) {
		g := NewWithT(t)
		crd, binding := definition("aianalyses.holdfast.dev"), objects[0]
		for _, o := range objects {
			if o.GetKind() == "ClusterRoleBinding" {
				binding = o
			}
		}
		g.Expect(w.client.Delete(ctx, crd.DeepCopy())).To(Succeed())
		w.gone(t, crd.DeepCopy())
		g.Expect(w.client.Delete(ctx, binding.DeepCopy())).To(Succeed())
		g.Eventually(w.published, timeout, interval).ShouldNot(Or(ContainSubstring("v1alpha1.AIAnalysis"), ContainSubstring(`"aianalyses"`)))
		said := w.managerLog(t, "aianalyses.holdfast.dev is not served, expected its CustomResourceDefinition; apply config/crd", "this account may not get remediationrequests.holdfast.dev")
		g.Expect(said).To(ContainSubstring("`kubectl holdfast check` says what to do"))
		for _, o := range objects {
			if o.GetName() == crd.GetName() || o == binding {
				w.put(t, o)
			}
		}
	})

	// Whoever administers a namespace makes a Deployment, an account and a lease that look like those of managers. Only the binding of the managers' role makes them an installation.
	t.Run("a second installation", func(t *testing.T) {
		g := NewWithT(t)
		now := metav1.NewMicroTime(time.Now())
		lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "holdfast-manager"},
			Spec: coordinationv1.LeaseSpec{HolderIdentity: ptr.To("tenant"), LeaseDurationSeconds: ptr.To[int32](3600), AcquireTime: &now, RenewTime: &now}}
		_, err := w.clientset.CoordinationV1().Leases("default").Create(ctx, lease, metav1.CreateOptions{})
		g.Expect(err).NotTo(HaveOccurred())
		var binding *unstructured.Unstructured
		for _, o := range objects {
			switch o.GetKind() {
			case "ClusterRoleBinding":
				binding = o.DeepCopy()
				binding.SetName("second")
				g.Expect(unstructured.SetNestedSlice(binding.Object, []any{map[string]any{"kind": "ServiceAccount", "name": "holdfast-manager", "namespace": "default"}}, "subjects")).To(Succeed())
			case "Deployment", "ServiceAccount", "Role", "RoleBinding":
				tenants := o.DeepCopy()
				tenants.SetNamespace("default")
				w.put(t, tenants)
				t.Cleanup(func() {
					g.Expect(w.client.Delete(ctx, tenants, client.PropagationPolicy(metav1.DeletePropagationBackground))).To(Succeed())
				})
			}
		}
		g.Expect(w.findings(t)).To(BeEmpty(), "a tenant")
		w.put(t, binding)
		second := And(HaveField("Check", "one installation"), HaveField("State", "failed"), HaveField("Detail", ContainSubstring("namespace default")))
		g.Expect(w.findings(t)).To(ContainElement(And(second, HaveField("Command", HaveSuffix("-n default delete deployment holdfast-manager")))))
		g.Expect(w.findings(t, "--system-namespace", "nowhere")).To(ContainElements(
			HaveField("Command", HaveSuffix("holdfast check --system-namespace holdfast-system")), HaveField("Command", HaveSuffix("holdfast check --system-namespace default"))))
		g.Expect(w.client.Delete(ctx, binding)).To(Succeed())
		g.Expect(w.clientset.CoordinationV1().Leases("default").Delete(ctx, lease.Name, metav1.DeleteOptions{})).To(Succeed())
	})

	t.Run("a Secret without the key", func(t *testing.T) {
		g := NewWithT(t)
		deployment, err := w.clientset.AppsV1().Deployments(namespace).Get(ctx, "holdfast-manager", metav1.GetOptions{})
		g.Expect(err).NotTo(HaveOccurred())
		deployment.Spec.Template.Spec.Containers[0].Env[0].ValueFrom.SecretKeyRef.Key = "uri"
		_, err = w.clientset.AppsV1().Deployments(namespace).Update(ctx, deployment, metav1.UpdateOptions{})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(w.findings(t)).To(ContainElement(And(HaveField("Check", "secret holdfast-database"), HaveField("Detail", ContainSubstring("no key uri")))))
	})

	admin, err := pgx.Connect(ctx, w.postgres.URL())
	g.Expect(err).NotTo(HaveOccurred())
	defer admin.Close(ctx)
	for _, name := range []string{"empty", "newer"} {
		_, err := admin.Exec(ctx, "CREATE DATABASE "+name+" OWNER app")
		g.Expect(err).NotTo(HaveOccurred())
	}
	in := func(database string) string {
		return strings.Replace(w.postgres.URL(), "/holdfast?", "/"+database+"?", 1)
	}
	schema := func(database string) []finding {
		return w.findings(t, "--database-url", in(database))
	}
	t.Run("a migration that was left out", func(t *testing.T) {
		NewWithT(t).Expect(schema("empty")).To(ContainElement(And(HaveField("Check", "schema"), HaveField("State", "failed"), HaveField("Command", "holdfast migrate up"))))
	})
	t.Run("a newer schema", func(t *testing.T) {
		g := NewWithT(t)
		g.Expect(w.runWith(t, []string{"HOLDFAST_DATABASE_URL=" + w.database("newer")}, "holdfast", "migrate", "up").Code).To(Equal(0))
		newer, err := pgx.Connect(ctx, w.database("newer"))
		g.Expect(err).NotTo(HaveOccurred())
		defer newer.Close(ctx)
		_, err = newer.Exec(ctx, "INSERT INTO holdfast_migrations (version_id, is_applied) SELECT max(version_id) + 1, true FROM holdfast_migrations")
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(schema("newer")).To(ContainElement(And(HaveField("Check", "schema"), HaveField("State", "failed"), HaveField("Detail", ContainSubstring("newer")), HaveField("Command", "holdfast migrate status"))))
	})
}
