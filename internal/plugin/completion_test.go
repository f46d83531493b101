//go:build unix

package plugin_test

import (
	"path/filepath"
	"regexp"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/internal/testenv"
)

// kubectl asks kubectl_complete-holdfast, and people write what it offers.
func TestCompletes(t *testing.T) {
	f := setup(t)
	f.create(testenv.MakeNotification(f.namespace, "cart-news").Obj())
	for want, args := range map[string][]string{
		"approvals":                        {"app"},
		"backup.backups.example.com/":      {"explain", "ba"},
		"nr/cart-news":                     {"explain", "-n", f.namespace, "nr/cart"},
		"notificationrequest.holdfast.dev": {"list", "not"},
		"AwaitingApproval":                 {"wait", "nr/cart-news", "--for", ""},
		f.namespace:                        {"list", "-n", f.namespace[:10]},
		"pending":                          {"list", "--sort-by", ""},
	} {
		s := f.program(nil, filepath.Join(programs, "kubectl_complete-holdfast"), args...)
		f.Expect(s.Code).To(BeZero(), "%+v", s)
		f.Expect(s.Stdout).To(MatchRegexp("(?m)^"+regexp.QuoteMeta(want)+`(\t|$)`), "%q: %+v", args, s)
	}
}
