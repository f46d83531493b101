package operator

import (
	"fmt"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/shard"
)

func TestLeasesOfDifferentWorkDiffer(t *testing.T) {
	g := NewWithT(t)
	var many []string
	for i := range 40 {
		many = append(many, fmt.Sprintf("a-namespace-%d", i))
	}
	second := shard.Shard{Index: 1, Total: 2}
	seen := map[string]bool{}
	for _, c := range []struct {
		config Config
		name   string
	}{
		{Config{}, "holdfast-manager"},
		{Config{Shard: second}, "holdfast-manager-1-of-2"},
		{Config{Shard: shard.Shard{Total: 2}}, "holdfast-manager-0-of-2"},
		{Config{Namespaces: []string{"shop", "checkout"}}, "holdfast-manager.checkout.shop"},
		{Config{Namespaces: []string{"shop-checkout"}}, "holdfast-manager.shop-checkout"},
		{Config{Namespaces: []string{"shop", "checkout"}, Shard: second}, "holdfast-manager-1-of-2.checkout.shop"},
		{Config{LeaderElectID: "payments", Namespaces: []string{"payments"}}, "payments"},
		{Config{LeaderElectID: "payments", Shard: second}, "payments-1-of-2"},
		{Config{Namespaces: many}, ""},
		{Config{Namespaces: many[1:]}, ""},
	} {
		name := c.config.Lease()
		if c.name != "" {
			g.Expect(name).To(Equal(c.name))
		}
		g.Expect(len(name)).To(BeNumerically("<=", 253))
		g.Expect(seen).NotTo(HaveKey(name))
		seen[name] = true
	}
	g.Expect(Config{Namespaces: []string{"checkout", "shop", "shop"}}.Lease()).To(Equal("holdfast-manager.checkout.shop"), "in whatever order they were given")
	g.Expect(strings.Count(Config{Shard: shard.Shard{Total: 1}}.Lease(), "-of-")).To(BeZero())
}

func TestARequestAndItsChildrenHaveOneKey(t *testing.T) {
	g := NewWithT(t)
	own := metav1.ObjectMeta{UID: "own"}
	ref := v1alpha1.RemediationRef{Name: "cart", UID: "request"}
	for want, all := range map[string][]client.Object{
		"request": {
			&v1alpha1.RemediationRequest{ObjectMeta: metav1.ObjectMeta{UID: "request"}},
			&v1alpha1.AIAnalysis{ObjectMeta: own, Spec: v1alpha1.AIAnalysisSpec{RemediationRef: ref}},
			&v1alpha1.WorkflowExecution{ObjectMeta: own, Spec: v1alpha1.WorkflowExecutionSpec{RemediationRef: ref}},
			&v1alpha1.NotificationRequest{ObjectMeta: own, Spec: v1alpha1.NotificationRequestSpec{RemediationRef: ref}},
		},
		"own": {
			&v1alpha1.AIAnalysis{ObjectMeta: own}, &v1alpha1.WorkflowExecution{ObjectMeta: own}, &v1alpha1.NotificationRequest{ObjectMeta: own}, &corev1.ConfigMap{ObjectMeta: own},
		},
	} {
		for _, o := range all {
			g.Expect(root(o)).To(Equal(want), "%T", o)
		}
	}
}
