package models_test

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/models"
)

func TestUUIDHasOneForm(t *testing.T) {
	const id = "019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6a7b"
	for name, c := range map[string]struct {
		text        string
		uuid, other string // "" for an error
	}{
		"lower case":       {id, id, id},
		"upper case":       {strings.ToUpper(id), id, id},
		"mixed case":       {"019AB3c4-5D6e-7f80-9A1b-2C3d4e5F6a7B", id, id},
		"in braces":        {"{" + id + "}", "", ""},
		"a URN":            {"urn:uuid:" + id, "", ""},
		"without dashes":   {strings.ReplaceAll(id, "-", ""), "", ""},
		"something else":   {"by-hand", "", "by-hand"},
		"a UUID and more":  {id + "0", "", id + "0"},
		"one in no dashes": {"019ab3c4_5d6e_7f80_9a1b_2c3d4e5f6a7b", "", "019ab3c4_5d6e_7f80_9a1b_2c3d4e5f6a7b"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			for want, read := range map[*string]func(string) (string, error){&c.uuid: models.UUID, &c.other: models.RemediationID} {
				got, err := read(c.text)
				g.Expect(got).To(Equal(*want))
				if *want == "" {
					g.Expect(err).To(MatchError("expected a UUID of 36 characters, as in 019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6a7b"))
				} else {
					g.Expect(err).NotTo(HaveOccurred())
				}
			}
		})
	}
}
