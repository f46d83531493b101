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
	g.Expect(progress.String()).To(Equal(`kind aianalyses.holdfast.dev: served
kind notificationrequests.holdfast.dev: served
kind remediationrequests.holdfast.dev: served
kind workflowexecutions.holdfast.dev: served
role holdfast-approver: can be bound
role holdfast-metrics-reader: can be bound
role holdfast-requester: can be bound
role holdfast-viewer: can be bound
role holdfast-recorder: can be bound
role holdfast-relay: can be bound
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
