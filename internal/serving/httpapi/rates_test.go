package httpapi

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

func TestRatesDropIdleCallers(t *testing.T) {
	g := NewWithT(t)
	r := NewRates(1, 1, "send fewer")
	now := time.Now()
	for i := range maxCallers {
		g.Expect(r.Take(fmt.Sprint(i), now)).To(BeNil())
	}
	g.Expect(r.Take("busy", now.Add(2*time.Second))).To(BeNil())
	g.Expect(r.byName).To(HaveLen(1))
	g.Expect(r.Take("busy", now.Add(2*time.Second)).Status).To(Equal(http.StatusTooManyRequests))
}
