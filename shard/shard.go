package shard

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math/bits"
	"strconv"

	"k8s.io/apimachinery/pkg/sharding"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// By is what of a resource decides to which shard it belongs.
type By string

const (
	// ByUID is the default: the uid, or what WithKey gives instead.
	ByUID By = "uid"
	// ByNamespace keeps a namespace's resources in one shard. Names that differ in their last two or three characters only have hashes close to each other, and mostly
	// share a shard: FNV-1a does not carry the last bytes into the highest bits.
	ByNamespace By = "namespace"
)

// Shard is one of Total parts, counted from 0. The zero value is the whole.
type Shard struct {
	Index, Total int
	// By is ByUID if it is empty.
	By By
}

var (
	// ErrTotal says that there is no such number of shards.
	ErrTotal = errors.New("expected at least 1 shard")
	// ErrIndex says that there is no such shard.
	ErrIndex = errors.New("no such shard")
	// ErrBy says that resources cannot be divided by that.
	ErrBy = fmt.Errorf("expected %s or %s", ByUID, ByNamespace)
)

// Validate returns nil for the zero value and for one of at least one shard; else ErrTotal, ErrIndex or ErrBy, wrapped with the value.
func (s Shard) Validate() error {
	switch {
	case s.By != "" && s.By != ByUID && s.By != ByNamespace:
		return fmt.Errorf("%q: %w", s.By, ErrBy)
	case s.Total < 0 || s.Total == 0 && s.Index != 0:
		return fmt.Errorf("%d: %w", s.Total, ErrTotal)
	case s.Total > 0 && (s.Index < 0 || s.Index >= s.Total):
		return fmt.Errorf("%d: %w: expected 0 to %d", s.Index, ErrIndex, s.Total-1)
	}
	return nil
}

// Whole tells whether everything is in the shard.
func (s Shard) Whole() bool { return s.Total <= 1 }

// String is as in "0-of-2".
func (s Shard) String() string { return fmt.Sprintf("%d-of-%d", s.Index, max(s.Total, 1)) }

// Hash is the 64-bit FNV-1a of a key.
func Hash(key string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(key)) // never fails
	return h.Sum64()
}

// Owns tells whether a key is in the shard.
func (s Shard) Owns(key string) bool {
	if s.Whole() {
		return true
	}
	// ⌊hash × Total ÷ 2⁶⁴⌋ is the index of the range that the hash lies in.
	index, _ := bits.Mul64(Hash(key), uint64(s.Total))
	return index == uint64(s.Index)
}

// Requirement is the shard's range as Kubernetes writes it: what an API server with the feature ShardedListAndWatch would be asked for.
func (s Shard) Requirement() sharding.ShardRangeRequirement {
	field := "object.metadata.uid"
	if s.By == ByNamespace {
		field = "object.metadata.namespace"
	}
	return sharding.ShardRangeRequirement{Key: field, Start: s.bound(s.Index), End: s.bound(s.Index + 1)}
}

// bound is the least hash of the shard with an index: ⌈index × 2⁶⁴ ÷ Total⌉, in hexadecimal.
func (s Shard) bound(index int) string {
	if s.Whole() && index > 0 || !s.Whole() && index >= s.Total {
		return "0x1" + "0000000000000000"
	}
	if index == 0 {
		return "0x" + "0000000000000000"
	}
	quotient, remainder := bits.Div64(uint64(index), 0, uint64(s.Total))
	if remainder > 0 {
		quotient++
	}
	text := strconv.FormatUint(quotient, 16)
	return "0x" + "0000000000000000"[len(text):] + text
}

// Key is what is hashed.
type Key func(client.Object) string

// UID is the resource's own.
func UID(o client.Object) string { return string(o.GetUID()) }

// Namespace is the resource's.
func Namespace(o client.Object) string { return o.GetNamespace() }
