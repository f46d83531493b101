package quantity

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/resource"
)

// Bounds of what one container may be given. Kubernetes accepts all below and above: 512m of memory is half a byte there, and no node has 7Ei.
const (
	// MinMemory is less than any container runtime starts a process with. What is below is a mistyped unit, such as 1024 for 1024Mi.
	MinMemory = 4 << 20
	// MaxMemory is the memory of the largest machines that can be rented.
	MaxMemory = 32 << 40
	// MaxCPUs is twice the processors of the largest machines.
	MaxCPUs = 4096
)

// Forms say in an error, after "expected", what Memory and CPU take.
const (
	MemoryForm = "whole bytes from 4Mi to 32Ti, as in 512Mi"
	CPUForm    = "processors from 1m to 4096, in steps of 1m, as in 500m or 2"
)

// Memory reads the memory of a container. The error names the text, cut to MaxLength, and what was expected.
func Memory(text string) (resource.Quantity, error) {
	q, err := Parse(text)
	if err != nil || q.CmpInt64(MinMemory) < 0 || q.CmpInt64(MaxMemory) > 0 || !whole(q, 0) {
		return resource.Quantity{}, malformed(text, MemoryForm)
	}
	return q, nil
}

// CPU reads the processors of a container. The error names the text, cut to MaxLength, and what was expected.
func CPU(text string) (resource.Quantity, error) {
	q, err := Parse(text)
	if err != nil || q.Sign() <= 0 || q.CmpInt64(MaxCPUs) > 0 || !whole(q, resource.Milli) {
		return resource.Quantity{}, malformed(text, CPUForm)
	}
	return q, nil
}

// whole reports whether a quantity is a whole number of units of that scale.
func whole(q resource.Quantity, scale resource.Scale) bool {
	return q.Cmp(*resource.NewScaledQuantity(q.ScaledValue(scale), scale)) == 0
}

func malformed(text, form string) error {
	if len(text) > MaxLength {
		return fmt.Errorf("quantity is %q… of %d bytes, expected %s", text[:MaxLength], len(text), form)
	}
	return fmt.Errorf("quantity is %q, expected %s", text, form)
}
