package shard

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// By is the property of a resource that determines its shard.
type By string

const (
	// ByUID is the default: the uid, or what WithKey gives instead.
	ByUID By = "uid"
	// ByNamespace keeps the resources of a namespace in one shard.
	ByNamespace By = "namespace"
)

// Shard is one of Total parts, with an index from 0. The zero value contains everything.
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
	// ErrBy means that the value of By is unknown.
	ErrBy = fmt.Errorf("expected %s or %s", ByUID, ByNamespace)
)

// Validate returns nil for the zero value and for a valid shard. Otherwise it returns ErrTotal, ErrIndex or ErrBy, wrapped with the value.
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

// Whole reports whether the shard contains everything.
func (s Shard) Whole() bool { return s.Total <= 1 }

// String returns, for example, "0-of-2".
func (s Shard) String() string { return fmt.Sprintf("%d-of-%d", s.Index, max(s.Total, 1)) }

// Owns reports whether a key is in the shard.
func (s Shard) Owns(key string) bool {
	if s.Whole() {
		return true
	}
	sum := sha256.Sum256([]byte(key))
	// ⌊hash × Total ÷ 2⁶⁴⌋ is the index of the range that the hash lies in.
	index, _ := bits.Mul64(binary.BigEndian.Uint64(sum[:]), uint64(s.Total))
	return index == uint64(s.Index)
}

// Key returns the text that is hashed.
type Key func(client.Object) string

// UID returns the uid of the resource.
func UID(o client.Object) string { return string(o.GetUID()) }

// Namespace returns the namespace of the resource.
func Namespace(o client.Object) string { return o.GetNamespace() }
