package recovery

import (
	"io"
	"testing"

	. "github.com/onsi/gomega"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/config"
	"github.com/holdfast-dev/holdfast/internal/testenv"
)

// docs/operations.md#a-resource-hangs-in-terminating
func TestAResourceHangsInTerminating(t *testing.T) {
	f := setup(t)
	hangs, other := f.create("cart"), f.create("other")
	f.append(hangs, 2, "Changed", false)
	f.append(other, 1, "Changed", false)
	f.remove(hangs)
	f.Expect(f.gone(hangs)()).To(BeFalse(), "nobody drains it")

	file := f.in("cart.jsonl")
	f.Expect(f.holdfast("release", "notificationrequest/cart", "-n", f.namespace, "--file", file, "--dry-run").Stdout).To(MatchRegexp(`cart +2 +last state`))
	f.Expect(f.holdfast("release", "notificationrequest/cart", "-n", f.namespace, "--file", file, "--yes").Status).To(BeZero())
	f.Expect(f.gone(hangs)()).To(BeTrue())
	f.Expect(f.gone(other)()).To(BeFalse())

	f.Expect(f.holdfast("import", file).Status).To(BeZero())
	f.Expect(f.sequences(hangs.UID)()).To(Equal([]int64{1, 2}))
	verified := f.holdfast("verify")
	f.Expect(verified.Status).To(Equal(1))
	f.Expect(verified.Stdout).To(And(ContainSubstring("unfinished   "+f.namespace+"/cart"), ContainSubstring("1 finding")))
	f.append(other, 1, "Changed", true)
	f.manager()
	f.remove(other)
	f.Eventually(f.gone(other)).Should(BeTrue())
}

// docs/operations.md#the-database-is-gone-for-good
func TestTheDatabaseIsGoneForGood(t *testing.T) {
	f := setup(t)
	goesOn, ends := f.create("goes-on"), f.create("ends")
	stop := f.manager()
	f.append(goesOn, 2, "Changed", false)
	f.append(ends, 2, "Changed", false)
	f.drained(goesOn)
	f.drained(ends)
	stop()
	f.append(goesOn, 1, "Changed", false)
	f.append(ends, 1, "Changed", true)
	f.remove(ends)
	f.sql("DROP DATABASE " + f.database() + " WITH (FORCE)")

	// The entries are in a file before anything else is done.
	file := f.in("pending.jsonl")
	f.Expect(f.holdfast("export", "-n", f.namespace, "--file", file).Stderr).To(ContainSubstring("Exported 2 entries of 2 resources"))

	t.Run("a new one takes over", func(t *testing.T) {
		f := &fixture{WithT: NewWithT(t), t: t, namespace: f.namespace, writer: f.writer, dir: f.dir}
		f.SetDefaultEventuallyTimeout(testenv.LongTimeout)
		f.newDatabase()
		before := testenv.Counter("holdfast_relay_gaps_total")
		stop := f.manager()
		f.Eventually(f.gone(ends)).Should(BeTrue(), "what was pending is durable in the new one")
		f.drained(goesOn)
		f.Eventually(testenv.Counter).WithArguments("holdfast_relay_gaps_total").Should(Equal(before + 2))
		stop()
		f.Expect(f.sequences(goesOn.UID)()).To(Equal([]int64{3}))
		verified := f.holdfast("verify")
		f.Expect(verified.Status).To(Equal(1))
		f.Expect(verified.Stdout).To(And(ContainSubstring("missing      "+f.namespace+"/goes-on"), ContainSubstring("entries 1 to 2: no row and no dead letter"), ContainSubstring("2 findings")))
		f.Expect(f.holdfast("import", file).Stdout).To(MatchRegexp(`goes-on +1 +0 +1`), "the file has nothing that the relay did not bring in")
	})
	t.Run("there is none any more", func(t *testing.T) {
		f := &fixture{WithT: NewWithT(t), t: t, namespace: f.namespace, writer: f.writer, dir: f.dir}
		f.append(goesOn, 1, "Changed", false)
		f.remove(goesOn)
		f.Expect(f.holdfast("release", "--all", "-n", f.namespace, "--file", f.in("last.jsonl"), "--yes").Stdout).To(ContainSubstring("1/1 released notificationrequests/goes-on"))
		f.Expect(f.gone(goesOn)()).To(BeTrue())
	})
}

// docs/operations.md#uninstalled-in-the-wrong-order
func TestUninstalledInTheWrongOrder(t *testing.T) {
	f := setup(t)
	closed, open := f.create("closed"), f.create("open")
	f.append(closed, 2, "Changed", true)
	f.append(open, 1, "Changed", false)
	t.Cleanup(func() { f.Expect(config.Install(ctx, env.Config, io.Discard)).To(Succeed()) })

	// Somebody removes the CRDs, and no manager runs.
	extensions := runtime.NewScheme()
	f.Expect(apiextensionsv1.AddToScheme(extensions)).To(Succeed())
	api, err := client.New(env.Config, client.Options{Scheme: extensions})
	f.Expect(err).NotTo(HaveOccurred())
	crd := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: "notificationrequests.holdfast.dev"}}
	f.Expect(api.Delete(ctx, crd)).To(Succeed())
	f.Eventually(func() bool {
		f.Expect(api.Get(ctx, client.ObjectKeyFromObject(crd), crd)).To(Succeed())
		for _, c := range crd.Status.Conditions {
			if c.Type == apiextensionsv1.Terminating && c.Status == apiextensionsv1.ConditionTrue {
				return true
			}
		}
		return false
	}).Should(BeTrue(), "it hangs")
	f.Eventually(func() string {
		return f.holdfast("release", "--all", "--all-namespaces", "--file", f.in("x"), "--dry-run").Stdout
	}).Should(And(ContainSubstring("closed"), ContainSubstring("open")))

	file := f.in("pending.jsonl")
	released := f.holdfast("release", "--all", "--all-namespaces", "--file", file, "--yes")
	f.Expect(released.Status).To(BeZero())
	f.Expect(released.Stdout).To(And(ContainSubstring("released notificationrequests/closed in "+f.namespace), ContainSubstring("released notificationrequests/open in "+f.namespace)))
	f.Eventually(func() bool {
		return apierrors.IsNotFound(api.Get(ctx, client.ObjectKeyFromObject(crd), crd))
	}).Should(BeTrue(), "the CRD goes with the last resource")

	imported := f.holdfast("import", file)
	f.Expect(imported.Status).To(BeZero())
	f.Expect(imported.Stdout).To(And(MatchRegexp(`closed +2 +2 +0`), MatchRegexp(`open +1 +1 +0`)))
	rows := f.holdfast("verify", "--kubeconfig", "")
	f.Expect(rows.Status).To(BeZero())
	f.Expect(rows.Stdout).To(ContainSubstring("Checked"))
}
