package relay_test

import (
	"errors"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/postgres"
	"github.com/holdfast-dev/holdfast/relay"
)

// refuseTrims installs a policy that somebody else might: no outbox of this namespace may become empty.
func (f *fixture) refuseTrims() {
	name := "refuse-trims-" + f.namespace
	policy := &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: admissionv1.ValidatingAdmissionPolicySpec{
		MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
			Operations: []admissionv1.OperationType{admissionv1.Update},
			Rule:       admissionv1.Rule{APIGroups: []string{"holdfast.dev"}, APIVersions: []string{"*"}, Resources: []string{"notificationrequests/status"}},
		}}}},
		Validations: []admissionv1.Validation{{Expression: "!has(object.status.outbox) || object.status.outbox.pending > 0", Message: "outboxes stay full here"}},
	}}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
		PolicyName: name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
		MatchResources: &admissionv1.MatchResources{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": f.namespace}}},
	}}
	for _, o := range []client.Object{policy, binding} {
		f.Expect(env.Client.Create(ctx, o)).To(Succeed())
		f.t.Cleanup(func() { f.Expect(env.Client.Delete(ctx, o)).To(Succeed()) })
	}
	probe := f.create("probe")
	f.append(probe, 1, false)
	empty := client.RawPatch(types.JSONPatchType, []byte(`[{"op":"add","path":"/status/outbox/pending","value":0}]`))
	f.Eventually(func() error {
		return env.Client.Status().Patch(ctx, f.live(probe), empty, client.DryRunAll)
	}).Should(MatchError(ContainSubstring("outboxes stay full here")))
}

func TestARefusedTrimIsAnErrorAndHoldsNothingUp(t *testing.T) {
	tried := false
	untilTrimmed := func(op string) error {
		if tried = tried || op == "trim"; !tried {
			return errors.New("the API server does not answer")
		}
		return nil
	}
	for name, patched := range map[string]func(string) error{"due later than the release": nil, "due with it": untilTrimmed} {
		t.Run(name, func(t *testing.T) { refusedTrim(t, &hooks{patched: patched}) })
	}
}

func refusedTrim(t *testing.T, h *hooks) {
	f := setup(t)
	f.refuseTrims()
	before := testenv.Counter("controller_runtime_reconcile_errors_total")
	f.run(h, slow)
	obj := f.create("refused")
	f.append(obj, 1, true)
	f.Eventually(testenv.Counter).WithArguments("controller_runtime_reconcile_errors_total").Should(BeNumerically(">=", before+3), "it is said, with the workqueue's backoff")
	f.Eventually(func() []string { return f.live(obj).Finalizers }).Should(BeEmpty(), "it is released all the same")
	f.Expect(env.Client.Delete(ctx, obj)).To(Succeed())
	f.Eventually(f.gone(obj)).Should(BeTrue())
	f.Expect(f.sequences(obj.UID)()).To(Equal([]int64{1}))
}

// PostgreSQL ends a statement that takes too long before the relay's own time is over. Half of it would fit.
func TestWhatTheDatabaseEndsIsHalvedUntilItArrives(t *testing.T) {
	f := setup(t)
	execute := func(sql string) {
		_, err := f.store.DB().ExecContext(ctx, sql)
		f.Expect(err).NotTo(HaveOccurred())
	}
	execute(`CREATE OR REPLACE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.05); RETURN NEW; END'`)
	execute(`CREATE TRIGGER slow BEFORE INSERT ON notification_audit FOR EACH ROW WHEN (NEW.source_namespace = '` + f.namespace + `') EXECUTE FUNCTION slow()`)
	t.Cleanup(func() { execute(`DROP TRIGGER slow ON notification_audit`) })
	impatient, err := postgres.Open(ctx, env.DatabaseURL, postgres.Options{StatementTimeout: 600 * time.Millisecond})
	f.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { impatient.Close() })
	obj := f.create("slow")
	f.append(obj, 16, true)
	f.run(&hooks{Store: impatient}, relay.Config{BatchRows: 16, FlushTimeout: time.Second, MaxBackoff: 100 * time.Millisecond})
	f.Eventually(f.sequences(obj.UID)).Should(HaveLen(16))
	f.Eventually(func() []string { return f.live(obj).Finalizers }).Should(BeEmpty())
}
