package quantity_test

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/holdfast-dev/holdfast/internal/quantity"
)

func TestMemoryIsWhatAContainerCanBeGiven(t *testing.T) {
	for _, text := range []string{"4Mi", "512Mi", "1Gi", "0.5Gi", "1e9", "500M", "4194304", "4194305", "33554432Mi", "32Ti"} {
		g := NewWithT(t)
		q, err := quantity.Memory(text)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(q).To(Equal(resource.MustParse(text)))
	}
	for name, text := range map[string]string{
		"half a byte":                "512m",
		"bytes for mebibytes":        "1024",
		"just too little":            "4194303",
		"a fraction above the floor": "4194304.5",
		"a thousandth above a gibi":  "1073741824001m",
		"more than there is":         "7Ei",
		"just too much":              "35184372088833",
		"the largest":                "9223372036854775807",
		"nothing":                    "0",
		"less than nothing":          "-1Gi",
		"no quantity":                "lots",
		"costly":                     "1e100000000",
		"long":                       strings.Repeat("9", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			_, err := quantity.Memory(text)
			g.Expect(err).To(MatchError(And(ContainSubstring(text[:min(len(text), 64)]), ContainSubstring("expected whole bytes from 4Mi to 32Ti, as in 512Mi"))))
			g.Expect(len(err.Error())).To(BeNumerically("<", 300))
		})
	}
}

func TestCPUIsWhatAContainerCanBeGiven(t *testing.T) {
	for _, text := range []string{"1m", "500m", "0.25", "1", "1500m", "4k", "4096"} {
		g := NewWithT(t)
		q, err := quantity.CPU(text)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(q).To(Equal(resource.MustParse(text)))
	}
	for name, text := range map[string]string{
		"half a thousandth":   "500u",
		"a fraction above 1m": "1.5m",
		"memory":              "512Mi",
		"more than there is":  "4097",
		"nothing":             "0",
		"less than nothing":   "-1",
		"costly":              "1e-100000000",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := quantity.CPU(text)
			NewWithT(t).Expect(err).To(MatchError(And(ContainSubstring(text), ContainSubstring("expected processors from 1m to 4096"))))
		})
	}
}

// The forms that people read are the bounds that the code checks.
func TestTheFormsNameTheBounds(t *testing.T) {
	g := NewWithT(t)
	g.Expect(quantity.MemoryForm).To(ContainSubstring("from %s to %s,", resource.NewQuantity(quantity.MinMemory, resource.BinarySI), resource.NewQuantity(quantity.MaxMemory, resource.BinarySI)))
	g.Expect(quantity.CPUForm).To(ContainSubstring("from 1m to %d,", quantity.MaxCPUs))
}
