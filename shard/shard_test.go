package shard

import (
	"fmt"
	"testing"

	"github.com/google/uuid"
	. "github.com/onsi/gomega"
	"pgregory.net/rapid"
)

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

// Names that differ at their end only are what namespaces mostly are.
func TestKeysSpreadEvenly(t *testing.T) {
	const keys, total = 20_000, 8
	for name, key := range map[string]func(int) string{
		"uids":       func(int) string { return uuid.NewString() },
		"namespaces": func(n int) string { return fmt.Sprintf("tenant-%05d", n) },
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			counts := make([]int, total)
			for n := range keys {
				key := key(n)
				for i := range total {
					if (Shard{Index: i, Total: total}).Owns(key) {
						counts[i]++
					}
				}
			}
			for _, n := range counts {
				g.Expect(n).To(BeNumerically("~", keys/total, keys/total/5))
			}
		})
	}
}

// Managers of two releases run beside each other during an upgrade, and must agree.
func TestAKeyStaysInItsShard(t *testing.T) {
	g := NewWithT(t)
	for key, owner := range map[string]int{"": 4, "shop": 2, "checkout": 3, "payments": 4, "6f3c9d0e-58c1-4a53-9f63-0c5d1a2b3c4d": 1} {
		for i := range 5 {
			g.Expect((Shard{Index: i, Total: 5}).Owns(key)).To(Equal(i == owner), "whether shard %d of 5 owns %s", i, key)
		}
	}
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
