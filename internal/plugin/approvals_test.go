//go:build unix

package plugin_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	. "github.com/onsi/gomega"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/testenv"
)

// passing is a proxy before the API server that counts the requests whose path has a part.
func (f *fixture) passing(part string) (address string, requests *atomic.Int32) {
	f.t.Helper()
	to, err := url.Parse(stack.Cluster.RESTConfig().Host)
	f.Expect(err).NotTo(HaveOccurred())
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.Transport, err = rest.TransportFor(stack.Cluster.RESTConfig())
	f.Expect(err).NotTo(HaveOccurred())
	requests = &atomic.Int32{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, part) {
			requests.Add(1)
		}
		proxy.ServeHTTP(w, r)
	}))
	f.t.Cleanup(server.Close)
	return server.URL, requests
}

// Approvals are read as lists are: page by page, and no analysis alone.
func TestPagesOfApprovals(t *testing.T) {
	f := setup(t)
	const many = 130
	var together errgroup.Group
	together.SetLimit(16)
	for i := range many {
		together.Go(func() error { return waiting(f.namespace, fmt.Sprintf("analysis-%03d", i)) })
	}
	f.Expect(together.Wait()).To(Succeed())
	through, requests := f.passing("/aianalyses")
	var a struct {
		Items []struct{ Name, Workflow, Target string }
	}
	f.into(f.in("approvals", "-A", "-o", "json", "--server", through), &a)
	f.Expect(len(a.Items)).To(BeNumerically(">=", many)) // other tests may have more
	f.Expect(a.Items).To(ContainElement(And(HaveField("Name", "analysis-129"), HaveField("Workflow", "rollout-undo"), HaveField("Target", "Deployment/analysis-129"))))
	f.Expect(requests.Load()).To(BeEquivalentTo(2), "fifty first, then as many as fit eight megabytes")
	code, resident := f.measured("kubectl-holdfast", "approvals", "-A")
	f.Expect(code).To(BeZero())
	f.Expect(resident).To(BeNumerically("<", 200<<20))
}

// waiting makes an analysis that waits for a decision, without a manager.
func waiting(namespace, name string) error {
	spec := testenv.MakeRemediation(namespace, name).Obj().Spec
	a := &v1alpha1.AIAnalysis{}
	a.Namespace, a.Name = namespace, name
	a.Spec = v1alpha1.AIAnalysisSpec{RemediationRef: v1alpha1.RemediationRef{Name: name, UID: types.UID("by-hand")}, Signal: spec.Signal, Target: spec.Target}
	if err := api.Create(ctx, a); err != nil {
		return err
	}
	a.Status = v1alpha1.AIAnalysisStatus{Phase: v1alpha1.AnalysisAwaitingApproval, RootCause: strings.Repeat("x", 2000),
		Recommendation: &v1alpha1.Recommendation{WorkflowID: "rollout-undo", Action: "rollout-undo", Confidence: 90, Rationale: "It began with the rollout.", Parameters: map[string]string{"toRevision": "1"}}}
	return api.Status().Update(ctx, a)
}

// Of somebody who may decide, and of nobody, explain says so: the command moves it on for whoever pastes it.
func TestExplainsWhoMayDecide(t *testing.T) {
	f := setup(t)
	f.Expect(waiting(f.namespace, "cart-analysis")).To(Succeed())
	f.Expect(f.is("aia/cart-analysis", "AwaitingApproval").Why).To(ContainSubstring("nobody is bound to the role holdfast-approver, but you may decide by another right"))

	kubectl := filepath.Join(programs, "kubectl")
	for _, args := range [][]string{
		{"create", "role", "reader", "--verb=get,list", "--resource=aianalyses.holdfast.dev,rolebindings.rbac.authorization.k8s.io"},
		{"create", "rolebinding", "reader", "--role=reader", "--user=jane o'hara"},
		{"create", "rolebinding", "holdfast-approver", "--role=reader", "--user=joe"}, // the name is taken
		{"create", "role", "narrow", "--verb=get", "--resource=aianalyses.holdfast.dev"},
		{"create", "rolebinding", "narrow", "--role=narrow", "--user=narrow"},
	} {
		s := f.program(nil, kubectl, append(args, "-n", f.namespace)...)
		f.Expect(s.Code).To(BeZero(), "%+v", s)
	}
	explained := func(as string) (e explained) {
		s := f.in("explain", "aia/cart-analysis", "--as", as, "-o", "json")
		f.Expect(s.Code).To(Equal(1), "%+v", s)
		f.Expect(json.Unmarshal([]byte(s.Stdout), &e)).To(Succeed())
		return e
	}
	e := explained("narrow")
	f.Expect(e.Why).To(ContainSubstring("you may not decide, and who may could not be read"))
	f.Expect(e.Command).To(HavePrefix("kubectl holdfast approve cart-analysis"))

	e = explained("jane o'hara")
	f.Expect(e.Why).To(ContainSubstring("nobody may decide yet, since nobody is bound to the role holdfast-approver"))
	f.Expect(e.Command).To(HavePrefix("kubectl create rolebinding holdfast-approver-2 "))
	f.pasted(e.Command)
	e = explained("jane o'hara")
	f.Expect(e.Why).To(ContainSubstring("user jane o'hara may decide"))
	f.Expect(f.in("approve", "cart-analysis", "--reason", "known", "--yes", "--as", "jane o'hara").Stderr).To(ContainSubstring("its request")) // there is none; the right is not what is missing

	// Whoever binds chooses the names, and how many.
	flood := "for n in $(seq 9); do echo --serviceaccount=" + f.namespace + ":account-$n; done"
	f.pasted("kubectl create rolebinding flood --clusterrole=holdfast-approver -n " + f.namespace + " $(" + flood + ")")
	f.Expect(explained("jane o'hara").Why).To(ContainSubstring("serviceaccount " + f.namespace + "/account-1, serviceaccount " + f.namespace + "/account-2, serviceaccount " + f.namespace +
		"/account-3, serviceaccount " + f.namespace + "/account-4, serviceaccount " + f.namespace + "/account-5 and 5 others may decide"))
}
