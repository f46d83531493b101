package config_test

import (
	"bytes"
	"context"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/config"
)

func TestInstallAgainChangesNothing(t *testing.T) {
	g := NewWithT(t)
	before := versions(t)
	var progress bytes.Buffer
	g.Expect(config.Install(t.Context(), admin, &progress)).To(Succeed())
	g.Expect(versions(t)).To(Equal(before))
	g.Expect(progress.String()).To(Equal(`CRD aianalyses.holdfast.dev: established
CRD notificationrequests.holdfast.dev: established
CRD remediationrequests.holdfast.dev: established
CRD workflowexecutions.holdfast.dev: established
ClusterRole holdfast-approver: installed
ClusterRole holdfast-metrics-reader: installed
ClusterRole holdfast-requester: installed
ClusterRole holdfast-viewer: installed
ClusterRole holdfast-recorder: installed
ClusterRole holdfast-relay: installed
ClusterRole holdfast-report-viewer: installed
ClusterRole holdfast-report-narrator: installed
ClusterRole holdfast-gateway: installed
policy holdfast-approval: enforced on aianalyses
policy holdfast-finalizer: enforced on remediationrequests
policy holdfast-finalizer: enforced on aianalyses
policy holdfast-finalizer: enforced on notificationrequests
policy holdfast-finalizer: enforced on workflowexecutions
policy holdfast-identity: enforced on remediationrequests
policy holdfast-identity: enforced on remediationrequests
policy holdfast-impersonation: enforced on remediationrequests
policy holdfast-impersonation: enforced on workflowexecutions
policy holdfast-metadata: enforced on remediationrequests
policy holdfast-metadata: enforced on aianalyses
policy holdfast-metadata: enforced on notificationrequests
policy holdfast-metadata: enforced on workflowexecutions
policy holdfast-orchestration: enforced on aianalyses
policy holdfast-orchestration: enforced on notificationrequests
policy holdfast-orchestration: enforced on workflowexecutions
`))
}

func TestInstallSaysWhatFailed(t *testing.T) {
	g := NewWithT(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	g.Expect(config.Install(ctx, admin, nil)).To(MatchError(ContainSubstring("apply CustomResourceDefinition aianalyses.holdfast.dev")))
}

// versions are the resource versions of everything that Install applies, by kind and name.
func versions(t *testing.T) map[string]string {
	t.Helper()
	g := NewWithT(t)
	crds, err := config.CRDs()
	g.Expect(err).NotTo(HaveOccurred())
	policies, err := config.Policies()
	g.Expect(err).NotTo(HaveOccurred())
	c, found := as(t, ""), map[string]string{}
	for _, crd := range crds {
		g.Expect(c.Get(t.Context(), keyOf(crd), crd)).To(Succeed())
		found["CRD "+crd.Name] = crd.ResourceVersion
	}
	for _, policy := range policies {
		g.Expect(c.Get(t.Context(), keyOf(policy), policy)).To(Succeed())
		found[policy.GetKind()+" "+policy.GetName()] = policy.GetResourceVersion()
	}
	g.Expect(found).To(HaveLen(4 + 2*7))
	return found
}
