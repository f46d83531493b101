//go:build unix

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/internal/testenv/secrets"
)

// Put together of letters that are rare, so that a part of one is in a text for no other reason than that it leaked.
const (
	thePassword = "XQ@ZX/QZ:XZ?QX#ZQ%XQ ZX&QZ=XX"
	theToken    = "ZZQX-XZQQ.QXZX~ZXXQ_QQZX"
	thePath     = "xqzz1jqx2zxq3qjz"
)

// loud is the URL of a database that repeats the password, percent-encoded as it must be.
func loud(t *testing.T) string {
	return (&url.URL{Scheme: "postgres", User: url.UserPassword("me", thePassword), Host: secrets.Refusing(t, true).String(), Path: "/audit", RawQuery: "sslmode=disable"}).String()
}

func get(f *fixture, address string) string {
	answer, err := http.Get(address)
	f.Expect(err).NotTo(HaveOccurred())
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	f.Expect(err).NotTo(HaveOccurred())
	return answer.Status + " " + string(text)
}

func (f *fixture) logged(name string) string {
	text, err := os.ReadFile(f.log(name))
	f.Expect(err).NotTo(HaveOccurred())
	return string(text)
}

// A database, an investigator and a receiver that repeat what they are sent: nothing of it is in a log, an Event, a status, a metric or an answer.
func TestNoCredentialIsSaid(t *testing.T) {
	f := setup(t)
	investigator := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "who is "+r.Header.Get("Authorization")+"?", http.StatusUnauthorized)
	}))
	t.Cleanup(investigator.Close)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, "unknown_"+thePath)
	}))
	t.Cleanup(receiver.Close)
	file := filepath.Join(t.TempDir(), "token")
	f.Expect(os.WriteFile(file, []byte(theToken+"\n"), 0o600)).To(Succeed())
	metrics, health := freeAddress(f), freeAddress(f)
	f.managerOf("manager", []string{"KUBECONFIG=" + stack.Cluster.Kubeconfig(), "HOLDFAST_DATABASE_URL= " + loud(t) + "\n", "POD_NAME=" + f.namespace, "POD_NAMESPACE=" + f.namespace},
		"--metrics-bind-address", metrics, "--investigator-url", investigator.URL, "--investigator-token-file", file, "--log-level=debug", "--namespaces", f.namespace)
	f.start("storage", []string{"HOLDFAST_DATABASE_URL=" + loud(t)}, "http://"+health+"/healthz", "storage", "--insecure-no-auth", "--insecure-http", "--bind-address", health, "--log-level=debug")

	hooks := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "hooks"}, StringData: map[string]string{
		"ambiguous": "http://me:" + thePassword + "@" + strings.TrimPrefix(receiver.URL, "http://"), "echoed": receiver.URL + "/" + thePath,
	}}
	f.create(hooks)
	nr := testenv.MakeNotification(f.namespace, "cart").Obj()
	nr.Spec.Channels = nil
	for _, key := range []string{"ambiguous", "echoed"} {
		nr.Spec.Channels = append(nr.Spec.Channels, v1alpha1.Channel{Type: v1alpha1.ChannelWebhook, SecretRef: &v1alpha1.SecretKeyRef{Name: "hooks", Key: key}})
	}
	f.create(nr)
	f.broken("cart")
	rr := testenv.MakeRemediation(f.namespace, "cart").Obj()
	f.create(rr)

	all := func() string {
		events, analyses := &eventsv1.EventList{}, &v1alpha1.AIAnalysisList{}
		f.Expect(f.client.List(ctx, events, client.InNamespace(f.namespace))).To(Succeed())
		f.Expect(f.client.List(ctx, analyses, client.InNamespace(f.namespace))).To(Succeed())
		f.read(nr)
		f.read(rr)
		text, err := json.Marshal([]any{events.Items, analyses.Items, nr, rr})
		f.Expect(err).NotTo(HaveOccurred())
		return string(text)
	}
	f.Eventually(all).Should(And(ContainSubstring(`"reason":"StoreUnavailable"`), ContainSubstring("status is 401"), ContainSubstring("an extra @"), ContainSubstring("answered 403 Forbidden")))
	post, err := http.Post("http://"+health+"/api/v1/audit/notifications", "application/json", strings.NewReader(
		`{"remediation_id":"r","notification_requested_at":"2026-11-23T04:05:06Z","subject":"cart","channels":["slack"],"delivery_status":"success"}`))
	f.Expect(err).NotTo(HaveOccurred())
	answer, err := io.ReadAll(post.Body)
	f.Expect(err).NotTo(HaveOccurred())
	f.Expect(post.Body.Close()).To(Succeed())
	f.Expect(post.StatusCode).To(Equal(http.StatusServiceUnavailable), string(answer))
	said := all() + string(answer) + get(f, "http://"+health+"/readyz") + get(f, "http://"+health+"/metrics") + get(f, "http://"+metrics+"/metrics")
	for _, name := range []string{"manager", "storage"} {
		log := f.logged(name)
		f.Expect(log).To(ContainSubstring("check user and password in the database URL"))
		said += log
	}
	for _, secret := range []string{thePassword, theToken, thePath} {
		f.Expect(secrets.Leak(said, secret)).To(BeEmpty())
	}
}

// Which part of it is the host? Nothing is started, nobody is asked.
func TestAnAmbiguousDatabaseURLIsRefused(t *testing.T) {
	f := setup(t)
	for _, command := range []string{"manager", "storage"} {
		c := exec.Command(program, command, "--metrics-bind-address=0", "--health-probe-bind-address=0")
		c.Env = []string{"KUBECONFIG=" + stack.Cluster.Kubeconfig(), "HOLDFAST_DATABASE_URL=postgres://me:" + thePassword + "@db.invalid/audit"}
		output, err := c.CombinedOutput()
		f.Expect(err).To(HaveOccurred())
		f.Expect(string(output)).To(And(ContainSubstring("HOLDFAST_DATABASE_URL"), ContainSubstring("@ as %40")))
		f.Expect(secrets.Leak(string(output), thePassword)).To(BeEmpty())
	}
}
