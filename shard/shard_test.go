package shard

import (
	"fmt"
	"testing"

	"github.com/google/uuid"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/sharding"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"
)

func TestTheHashIsFNV1a(t *testing.T) {
	g := NewWithT(t)
	for key, hash := range map[string]uint64{"": 0xcbf29ce484222325, "a": 0xaf63dc4c8601ec8c, "b": 0xaf63df4c8601f1a5, "foobar": 0x85944171f73967e8} { // of its authors
		g.Expect(Hash(key)).To(Equal(hash), key)
		g.Expect(sharding.HashField(key)).To(Equal(fmt.Sprintf("%016x", hash)), "Kubernetes' own")
	}
}

func TestEveryKeyIsInExactlyOneShard(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := NewWithT(t)
		total := rapid.IntRange(1, 300).Draw(t, "total")
		key := rapid.String().Draw(t, "key")
		owners := 0
		for i := range total {
			if (Shard{Index: i, Total: total}).Owns(key) {
				owners++
			}
		}
		g.Expect(owners).To(Equal(1))
	})
}

// What an API server would select by the shard's range is what the shard owns.
func TestRangesAreThoseOfKubernetes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := NewWithT(t)
		total := rapid.IntRange(1, 100).Draw(t, "total")
		by := rapid.SampledFrom([]By{ByUID, ByNamespace}).Draw(t, "by")
		o := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{UID: types.UID(rapid.String().Draw(t, "uid")), Namespace: rapid.String().Draw(t, "namespace")}}
		key := UID(o)
		if by == ByNamespace {
			key = Namespace(o)
		}
		end := "0x0000000000000000"
		for i := range total {
			s := Shard{Index: i, Total: total, By: by}
			r := s.Requirement()
			g.Expect(r.Start).To(Equal(end), "no gap and no overlap")
			g.Expect(sharding.HexLess(r.Start, r.End)).To(BeTrue())
			g.Expect(sharding.NewSelector(r).Matches(o)).To(Equal(s.Owns(key)))
			end = r.End
		}
		g.Expect(end).To(Equal("0x10000000000000000"))
	})
}

func TestRangesAsTheyAreWritten(t *testing.T) {
	g := NewWithT(t)
	g.Expect(Shard{}.Requirement()).To(Equal(sharding.ShardRangeRequirement{Key: "object.metadata.uid", Start: "0x0000000000000000", End: "0x10000000000000000"}))
	g.Expect(Shard{Index: 1, Total: 2, By: ByNamespace}.Requirement()).To(Equal(
		sharding.ShardRangeRequirement{Key: "object.metadata.namespace", Start: "0x8000000000000000", End: "0x10000000000000000"}))
	g.Expect(Shard{Index: 1, Total: 3}.Requirement()).To(Equal(
		sharding.ShardRangeRequirement{Key: "object.metadata.uid", Start: "0x5555555555555556", End: "0xaaaaaaaaaaaaaaab"}))
}

func TestUIDsSpreadEvenly(t *testing.T) {
	g := NewWithT(t)
	const uids, total = 20_000, 8
	counts := make([]int, total)
	for range uids {
		key := uuid.NewString()
		for i := range total {
			if (Shard{Index: i, Total: total}).Owns(key) {
				counts[i]++
			}
		}
	}
	for _, n := range counts {
		g.Expect(n).To(BeNumerically("~", uids/total, uids/total/5))
	}
}

// A property of FNV-1a that ByNamespace inherits, and its comment and docs/scaling.md warn of.
func TestNamesThatDifferAtTheirEndShareAShard(t *testing.T) {
	g := NewWithT(t)
	owners := map[int]int{}
	for n := range 100 {
		for i := range 4 {
			if (Shard{Index: i, Total: 4, By: ByNamespace}).Owns(fmt.Sprintf("tenant-%02d", n)) {
				owners[i]++
			}
		}
	}
	g.Expect(owners).To(HaveLen(1))
}

func TestWhatAShardIs(t *testing.T) {
	g := NewWithT(t)
	for _, s := range []Shard{{}, {Total: 1}, {Total: 1, By: ByNamespace}} {
		g.Expect(s.Validate()).To(Succeed())
		g.Expect(s.Whole()).To(BeTrue())
		g.Expect(s.String()).To(Equal("0-of-1"))
		g.Expect(s.Owns("anything")).To(BeTrue())
	}
	last := Shard{Index: 2, Total: 3, By: ByUID}
	g.Expect(last.Validate()).To(Succeed())
	g.Expect(last.Whole()).To(BeFalse())
	g.Expect(last.String()).To(Equal("2-of-3"))
	for _, c := range []struct {
		shard Shard
		is    error
		says  string
	}{
		{Shard{Total: -1}, ErrTotal, "-1"},
		{Shard{Index: 1}, ErrTotal, "0"},
		{Shard{Index: 3, Total: 3}, ErrIndex, "3: no such shard: expected 0 to 2"},
		{Shard{Index: -1, Total: 3}, ErrIndex, "-1"},
		{Shard{Total: 2, By: "name"}, ErrBy, `"name": expected uid or namespace`},
	} {
		g.Expect(c.shard.Validate()).To(And(MatchError(c.is), MatchError(ContainSubstring(c.says))))
	}
}
