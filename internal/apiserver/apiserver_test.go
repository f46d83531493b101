package apiserver_test

import (
	"math/big"
	"testing"

	. "github.com/onsi/gomega"
	"pgregory.net/rapid"

	"github.com/holdfast-dev/holdfast/internal/apiserver"
)

func TestOlderComparesNumbers(t *testing.T) {
	version := rapid.StringMatching(`[1-9][0-9]{0,40}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := version.Draw(t, "a"), version.Draw(t, "b")
		x, _ := new(big.Int).SetString(a, 10)
		y, _ := new(big.Int).SetString(b, 10)
		if want := x.Cmp(y) < 0; apiserver.Older(a, b) != want {
			t.Fatalf("%s older than %s: expected %t", a, b, want)
		}
	})
}

func TestOlderKnowsNothingOfWhatIsNoVersion(t *testing.T) {
	for _, strange := range []string{"", "0", "01", "-1", "1.5", "abc", "12a", "١٢", "1 "} {
		g := NewWithT(t)
		g.Expect(apiserver.Older(strange, "7")).To(BeFalse(), "%q", strange)
		g.Expect(apiserver.Older("7", strange)).To(BeFalse(), "%q", strange)
	}
}
