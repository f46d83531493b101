package plugin

import (
	"testing"

	. "github.com/onsi/gomega"
)

// Other users see the address that a browser is started with, so its key is of no use to them.
func TestTheKeyOfTheBrowserWorksOnce(t *testing.T) {
	g := NewWithT(t)
	k := consoleKeys{lasting: "lasting", first: "first"}
	g.Expect(k.opens("first")).To(BeTrue())
	g.Expect(k.opens("first")).To(BeFalse())
	g.Expect(k.opens("lasting")).To(BeTrue())
	g.Expect(k.opens("lasting")).To(BeTrue())
	g.Expect(k.opens("")).To(BeFalse())
}
