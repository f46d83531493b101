package operator

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/outbox"
	"github.com/holdfast-dev/holdfast/shard"
)

// kinds are Holdfast's four, which are drained, and divided where there are shards.
func kinds() []outbox.Object {
	return []outbox.Object{&v1alpha1.RemediationRequest{}, &v1alpha1.AIAnalysis{}, &v1alpha1.WorkflowExecution{}, &v1alpha1.NotificationRequest{}}
}

// divided are the same, as the cache knows them.
func divided() []client.Object {
	var all []client.Object
	for _, k := range kinds() {
		all = append(all, k)
	}
	return all
}

// root is the key of a resource's shard: the uid of the remediation that it belongs to, so that a request and its children, who read each other, have one manager.
func root(o client.Object) string {
	var remediation types.UID
	switch o := o.(type) {
	case *v1alpha1.AIAnalysis:
		remediation = o.Spec.RemediationRef.UID
	case *v1alpha1.WorkflowExecution:
		remediation = o.Spec.RemediationRef.UID
	case *v1alpha1.NotificationRequest:
		remediation = o.Spec.RemediationRef.UID
	}
	if remediation == "" {
		return shard.UID(o)
	}
	return string(remediation)
}

// everyShard reads the requests of all shards: live, or nil where the manager's cache has all of a namespace's.
func everyShard(s shard.Shard, live client.Reader) client.Reader {
	if s.Whole() || s.By == shard.ByNamespace {
		return nil
	}
	return live
}

// baseLease is the whole name of the lease where one manager looks after everything.
const baseLease = "holdfast-manager"

// maxName bounds names in Kubernetes.
const maxName = 253

// Lease is the name of the lease that managers of the same work compete for. Those of other shards or other namespaces have other ones: with one lease, all but one of
// them would wait for ever. Namespaces are joined by dots, which they cannot have: holdfast-manager-0-of-2.checkout.shop.
func (c Config) Lease() string {
	name := c.LeaderElectID
	if name == "" {
		name = baseLease
	}
	if !c.Shard.Whole() {
		name += "-" + c.Shard.String()
	}
	if c.LeaderElectID != "" || len(c.Namespaces) == 0 {
		return name
	}
	joined := strings.Join(c.namespaces(), ".")
	if len(name)+1+len(joined) > maxName {
		h := fnv.New64a()
		_, _ = h.Write([]byte(joined)) // never fails
		joined = fmt.Sprintf("%016x", h.Sum64())
	}
	return name + "." + joined
}

// namespaces are those that the manager is restricted to, each once and in order.
func (c Config) namespaces() []string {
	return slices.Compact(slices.Sorted(slices.Values(c.Namespaces)))
}
