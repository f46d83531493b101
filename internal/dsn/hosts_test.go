package dsn

import (
	"testing"

	. "github.com/onsi/gomega"
)

// Of several hosts, one may be a standby. A store that got one would be refused each row.
func TestOfSeveralHostsTheOneThatTakesWritesIsMeant(t *testing.T) {
	unset(t)
	for text, readWrite := range map[string]bool{
		"postgres://me@one.invalid,two.invalid/audit":                              true,
		"postgres://me@one.invalid:1,one.invalid:2/audit?sslmode=disable":          true,
		"host=one.invalid,two.invalid user=me":                                     true,
		"postgres://me@one.invalid,two.invalid/audit?target_session_attrs=primary": true,
		"postgres://me@one.invalid,two.invalid/audit?target_session_attrs=any":     false,
		"postgres://me@one.invalid/audit":                                          false,
		"postgres://me@one.invalid/audit?sslmode=prefer":                           false,
		"postgres://me@one.invalid/audit?target_session_attrs=read-write":          true,
	} {
		t.Run(text, func(t *testing.T) {
			g := NewWithT(t)
			config, err := Parse(text)
			g.Expect(err).NotTo(HaveOccurred())
			if readWrite {
				g.Expect(config.ConnConfig.ValidateConnect).NotTo(BeNil())
			} else {
				g.Expect(config.ConnConfig.ValidateConnect).To(BeNil())
			}
		})
	}
	t.Setenv("PGTARGETSESSIONATTRS", "any")
	config, err := Parse("postgres://me@one.invalid,two.invalid/audit")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	NewWithT(t).Expect(config.ConnConfig.ValidateConnect).To(BeNil())
}
