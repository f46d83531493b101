package quantity_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/holdfast-dev/holdfast/internal/quantity"
	"github.com/holdfast-dev/holdfast/internal/testenv/alloc"
)

// Whatever texts come: those that are accepted are what Kubernetes takes them for, cost little to compute with, and read the same when they were written.
func FuzzParse(f *testing.F) {
	for _, text := range costly {
		f.Add(text[:min(len(text), 100)], "1")
	}
	for i, text := range extremes {
		f.Add(text, extremes[len(extremes)-1-i])
	}
	for _, text := range []string{"1Gi", "500m", "1E", "1Ei", "1e", "0.1n", "-0", "+.5e-9", "1e3m"} {
		f.Add(text, "1e-30")
	}
	f.Fuzz(func(t *testing.T, left, right string) {
		var a, b resource.Quantity
		var failed, other error
		spent := alloc.Bytes(func() {
			a, failed = quantity.Parse(left)
			b, other = quantity.Parse(right)
			if failed == nil && other == nil {
				everything(a, b)
			}
		})
		if spent > 1<<20 {
			t.Fatalf("%q and %q take %d bytes", left, right, spent)
		}
		if failed != nil {
			if len(failed.Error()) > 600 || !strings.Contains(failed.Error(), "expected") {
				t.Fatalf("%q is refused with %q", left, failed)
			}
			return
		}
		if err := quantity.Check(a); err != nil {
			t.Fatalf("%q is accepted, and then: %v", left, err)
		}
		written, err := quantity.Parse(a.String())
		if err != nil || written.Cmp(a) != 0 {
			t.Fatalf("%q is written as %q: %v", left, a.String(), err)
		}
	})
}

// Whatever texts come: what a container may be given is within the bounds and has no fractions, and what is refused says what was expected.
func FuzzContainer(f *testing.F) {
	for _, text := range costly {
		f.Add(text[:min(len(text), 100)])
	}
	for _, text := range append(extremes, "512m", "1024", "7Ei", "4Mi", "32Ti", "1073741824001m", "500u", "1.5m", "4096", "4Mie", "1e7", "0.0000001Ti") {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if memory, err := quantity.Memory(text); err == nil {
			bytes := memory.Value()
			if bytes < quantity.MinMemory || bytes > quantity.MaxMemory || memory.CmpInt64(bytes) != 0 {
				t.Fatalf("%q is accepted as memory: %d bytes", text, bytes)
			}
		} else if len(err.Error()) > 600 || !strings.Contains(err.Error(), quantity.MemoryForm) {
			t.Fatalf("%q is refused as memory with %q", text, err)
		}
		if cpu, err := quantity.CPU(text); err == nil {
			millis := cpu.MilliValue()
			if millis < 1 || millis > 1000*quantity.MaxCPUs || cpu.Cmp(*resource.NewMilliQuantity(millis, resource.DecimalSI)) != 0 {
				t.Fatalf("%q is accepted as processors: %d thousandths", text, millis)
			}
		} else if len(err.Error()) > 600 || !strings.Contains(err.Error(), quantity.CPUForm) {
			t.Fatalf("%q is refused as processors with %q", text, err)
		}
	})
}
