package rar_test

import (
	"bytes"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/rar"
)

func TestWorkedExample(t *testing.T) {
	g := NewWithT(t)
	r := rar.Build(worked(t))
	var text bytes.Buffer
	g.Expect(rar.Render(&text, r, rar.FormatJSON)).To(Succeed())
	g.Expect(r.Summary.Outcome).To(Equal("remediated"))
	g.Expect(*r.Summary.TotalSeconds).To(Equal(340.0))
}
