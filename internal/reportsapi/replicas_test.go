package reportsapi

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

// Two replicas answer alike: the same bytes and ETag of the same rows and instant, a report that one named is unchanged for the other, and pages go on where the other one stopped.
func TestReplicasAnswerAlike(t *testing.T) {
	g := NewWithT(t)
	one := start(t)
	later := func(c *Config) { c.Now = func() time.Time { return received.AddDate(0, 0, 30).Add(time.Minute) } }
	two := startOn(t, one.dsn, later)
	var id string
	for i := range 7 {
		id = one.write(remediation{received: received.Add(-time.Duration(i) * time.Hour)})
	}
	one.post(id)
	asOf := "as_of=" + received.AddDate(0, 0, 20).Format(time.RFC3339)
	for _, token := range []string{"all", "shop"} {
		for _, path := range []string{reports + "/" + id + "?" + asOf, reports + "/" + id + "?format=html&" + asOf, reports + "/" + id + "?format=md&" + asOf, reports + "/" + id + "?format=svg&" + asOf,
			reports + window + "&" + asOf, reports + window + "&view=summary&" + asOf, "/api/v2/resources/" + id + "/entries", "/api/v2/resources?name=cart&namespace=shop"} {
			first, second := one.get(path, token), two.get(path, token)
			g.Expect(first.status).To(Equal(http.StatusOK), first.body)
			g.Expect(second.body).To(Equal(first.body), path)
			g.Expect(second.header.Get("ETag")).To(Equal(first.header.Get("ETag")), path)
		}
		tag := one.get(reports+"/"+id, token).header.Get("ETag")
		g.Expect(two.get(reports+"/"+id, token, "If-None-Match", tag).status).To(Equal(http.StatusNotModified), "the instant is another, the content is not")

		whole := one.get(reports+window+"&view=summary", token).page(t).ids()
		var got []string
		next := ""
		for i := 0; i == 0 || next != ""; i++ {
			p := []*service{one, two}[i%2].get(reports+window+"&view=summary&limit=2"+next, token).page(t)
			got = append(got, p.ids()...)
			if next = ""; p.Next != nil {
				next = "&next=" + url.QueryEscape(*p.Next)
			}
		}
		g.Expect(got).To(Equal(whole))
		entries := fmt.Sprintf("/api/v2/resources/%s/entries?limit=1", id)
		first := one.get(entries, token).page(t)
		g.Expect(two.get(entries+"&next="+*first.Next, token).page(t).Items[0].Sequence).To(BeEquivalentTo(2))
	}
}
