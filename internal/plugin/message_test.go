//go:build unix

package plugin_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/testenv"
)

// A person pastes the command of a message that reached one channel, while another one hangs and a third one redirects.
func TestDecidesFromTheMessage(t *testing.T) {
	f := setup(t)
	d := f.broken("cart")
	f.manager(stack.Postgres.URL())

	type message struct{ Purpose, Subject, Body string }
	got, over := make(chan message, 10), make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("POST /takes", func(_ http.ResponseWriter, r *http.Request) {
		var m message
		if json.NewDecoder(r.Body).Decode(&m) == nil {
			got <- m
		}
	})
	mux.HandleFunc("POST /hangs", func(http.ResponseWriter, *http.Request) { <-over })
	mux.HandleFunc("POST /moved", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/takes", http.StatusTemporaryRedirect)
	})
	receiver := httptest.NewServer(mux)
	t.Cleanup(receiver.Close)
	t.Cleanup(func() { close(over) })

	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "channels"}, StringData: map[string]string{}}
	rr := testenv.MakeRemediation(f.namespace, d.Name).Obj()
	rr.Spec.Notification.Channels = nil
	for _, path := range []string{"takes", "hangs", "moved"} {
		secret.StringData[path] = receiver.URL + "/" + path
		rr.Spec.Notification.Channels = append(rr.Spec.Notification.Channels, v1alpha1.Channel{Type: v1alpha1.ChannelWebhook, SecretRef: &v1alpha1.SecretKeyRef{Name: secret.Name, Key: path}})
	}
	f.create(secret)
	f.create(rr)

	var m message
	f.Eventually(got).Should(Receive(&m))
	f.Expect(m.Purpose).To(Equal("ApprovalNeeded"))
	f.Expect(m.Subject).To(HavePrefix("Approval needed: "))
	f.Expect(m.Body).To(And(ContainSubstring("\nRoot cause: "), ContainSubstring("\nStep undo: RolloutUndo"), ContainSubstring("\nRuns as: service account remediator"), ContainSubstring("\nEvidence: ")))
	t.Logf("%s\n\n%s", m.Subject, m.Body)
	f.approver("jane")
	approve := regexp.MustCompile(`(?m)^kubectl holdfast approve .*$`).FindString(m.Body)
	f.Expect(f.program(nil, "/bin/sh", "-c", approve+" --yes --as=jane")).To(And(HaveField("Code", 2), HaveField("Stderr", ContainSubstring("--reason has 0 characters"))), "the reason has to be filled in")
	s := f.program(nil, "/bin/sh", "-c", strings.Replace(approve, "''", "'known bad release'", 1)+" --yes --as=jane")
	f.Expect(s.Code).To(BeZero(), "%+v", s)

	asked := &v1alpha1.NotificationRequest{}
	f.Eventually(func() v1alpha1.NotificationPhase {
		f.read(rr)
		asked.Namespace, asked.Name = f.namespace, rr.Status.ApprovalNotification
		f.read(asked)
		return asked.Status.Phase
	}).Should(Equal(v1alpha1.NotificationCancelled))
	f.Expect(asked.Status.FailureReason).To(HavePrefix("cancelled after 1 of 3 channels were reached: the decision was made"))
	f.Eventually(func() string { f.read(rr); return string(rr.Status.WorkflowUID) }).ShouldNot(BeEmpty(), "nobody waits for the channels")
	aia := &v1alpha1.AIAnalysis{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: rr.Status.Analysis}}
	f.read(aia)
	f.Expect(aia.Status.Approval).To(HaveValue(And(HaveField("DecidedBy", "jane"), HaveField("Justification", "known bad release"))))
}
