package rar_test

import (
	"bytes"
	"os"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/rar"
)

func TestWorkedExample(t *testing.T) {
	g := NewWithT(t)
	r := rar.Build(worked(t))
	for _, format := range rar.Formats() {
		var text bytes.Buffer
		g.Expect(rar.Render(&text, r, format)).To(Succeed())
		os.WriteFile("/tmp/worked."+format, text.Bytes(), 0o644)
	}
	g.Expect(r.Summary.Outcome).To(Equal("remediated"))
	g.Expect(*r.Summary.TotalSeconds).To(Equal(340.0))
}
