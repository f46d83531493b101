package plugin

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

var now = time.Date(2026, 11, 23, 4, 5, 6, 0, time.UTC)

// leases are those of names; one that begins with - was released.
func leases(names ...string) []manager {
	var all []manager
	for _, name := range names {
		holder := "pod"
		if name[0] == '-' {
			holder, name = "", name[1:]
		}
		l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder, RenewTime: &metav1.MicroTime{Time: now.Add(-time.Second)}}}
		if m, ok := managerOf(l, now); ok {
			all = append(all, m)
		}
	}
	return all
}

func TestGaps(t *testing.T) {
	for name, test := range map[string]struct {
		leases, want []string
	}{
		"one for all":                  {[]string{"holdfast-manager"}, nil},
		"shards of before":             {[]string{"holdfast-manager", "-holdfast-manager-0-of-2"}, nil},
		"a shard without a manager":    {[]string{"holdfast-manager-0-of-2", "-holdfast-manager-1-of-2"}, []string{"holdfast-manager-1-of-2"}},
		"a shard without a lease":      {[]string{"holdfast-manager-0-of-2"}, []string{"holdfast-manager-1-of-2"}},
		"two shards became three":      {[]string{"-holdfast-manager-0-of-2", "holdfast-manager-0-of-3", "holdfast-manager-1-of-3", "holdfast-manager-2-of-3"}, nil},
		"nobody":                       {[]string{"-holdfast-manager"}, []string{"holdfast-manager"}},
		"namespaces":                   {[]string{"holdfast-manager.shop", "-holdfast-manager.checkout"}, []string{"holdfast-manager.checkout"}},
		"shards of namespaces":         {[]string{"holdfast-manager-0-of-2.shop", "holdfast-manager-1-of-2.shop"}, nil},
		"a lease of somebody else":     {[]string{"holdfast-managers", "other"}, nil},
		"a number that is no number":   {[]string{"holdfast-manager-99999999999-of-2"}, nil},
		"more shards than a manager":   {[]string{"holdfast-manager-0-of-1"}, nil},
		"names with a hash for a list": {[]string{"holdfast-manager.0123456789abcdef"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			NewWithT(t).Expect(gaps(leases(test.leases...))).To(Equal(test.want))
		})
	}
}

func TestAttended(t *testing.T) {
	g := NewWithT(t)
	active, shardName := attended(leases("holdfast-manager"), "shop", "uid")
	g.Expect(active).To(BeTrue())
	g.Expect(shardName).To(BeEmpty())
	active, _ = attended(leases("holdfast-manager.shop"), "checkout", "uid")
	g.Expect(active).To(BeFalse())
	attendedBy := 0
	for _, name := range []string{"holdfast-manager-0-of-2", "holdfast-manager-1-of-2"} {
		if active, _ := attended(leases(name), "same", "same"); active {
			attendedBy++
		}
	}
	g.Expect(attendedBy).To(Equal(1), "a key is in one shard")
}

func TestNearNames(t *testing.T) {
	g := NewWithT(t)
	g.Expect(distance("kitten", "sitting")).To(Equal(3))
	g.Expect(similar("cart-crash", "cart-crush")).To(BeTrue())
	g.Expect(similar("cart-crash-1", "cart-crash")).To(BeTrue())
	g.Expect(similar("news", "cart")).To(BeFalse())
}

func TestQuotes(t *testing.T) {
	g := NewWithT(t)
	g.Expect(quoted("rr/cart-crash")).To(Equal("rr/cart-crash"))
	g.Expect(quoted("it's; rm -rf $HOME")).To(Equal(`'it'\''s; rm -rf $HOME'`))
	g.Expect(quoted("")).To(Equal("''"))
}

func TestPartsOfASentence(t *testing.T) {
	g := NewWithT(t)
	g.Expect(sentence("This acted. Until 3h it stays.")).To(Equal("this acted; until 3h it stays"))
	g.Expect(sentence("RemediationRequest cart acted. To begin, delete it")).To(Equal("RemediationRequest cart acted; to begin, delete it"))
	g.Expect(sentence("")).To(Equal("-"))
	g.Expect(within("é")).To(Equal("é"))
}

// What a manager said of the store that has stopped, or before an entry was persisted, does not count.
func TestAnOutageThatIsOver(t *testing.T) {
	g := NewWithT(t)
	since := now.Add(-time.Minute)
	state := func(managers []manager, persisted time.Time) string {
		s := &storeState{Breaker: breakerOpen, Since: &since}
		s.outlived(managers, persisted)
		return s.Breaker
	}
	before, after := leases("holdfast-manager"), leases("holdfast-manager")
	before[0].AcquireTime, after[0].AcquireTime = ptr.To(since.Add(-time.Hour)), ptr.To(since.Add(time.Second))
	g.Expect(state(before, time.Time{})).To(Equal(breakerOpen))
	g.Expect(state(nil, time.Time{})).To(Equal(breakerOpen))
	g.Expect(state(after, time.Time{})).To(Equal(breakerUnknown))
	g.Expect(state(append(before, after...), time.Time{})).To(Equal(breakerOpen))
	g.Expect(state(before, since.Add(time.Second))).To(Equal(breakerClosed))
}
