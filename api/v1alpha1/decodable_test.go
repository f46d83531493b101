package v1alpha1_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// One stored value that Go cannot read breaks the list of the whole kind, for every client, until somebody finds and fixes it. So what the
// API server lets in, Go must be able to read, and what Go then writes, the API server must take again.

// hostileTexts look like durations and times. Wherever a text is allowed, they may come.
var hostileTexts = []string{
	"", "99999999h", "1.5h1", "-1s", "1h ", "∞", "1d", "999999999999999999999ms", "0.0000000000000000000000000001h", "P1D",
	"2026-02-30T00:00:00Z", "2026-11-23T04:05:60Z", "2026-11-23T24:00:00Z", "2026-11-23T04:05:06+24:00", "2026-11-23T04:05:06+99:99",
	"0000-01-01T00:00:00+23:59", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "10000-01-01T00:00:00Z",
	"2026-11-23T04:05:06.123456789Z", "2026-11-23T04:05:06.1234567890123456789012345Z", "2026-11-23t04:05:06z", "2026-11-23 04:05:06Z",
	"2026-11-23T04:05:06", "2026-11-23T04:05:06,5Z", "2026-11-23T04:05:06Z", "2026-11-23", "null", "\u0000", "\U0001F4A5",
}

// hostileNumbers are as JSON has them: beyond 32 and 64 bits, fractions, and other writings of an integer.
var hostileNumbers = []string{
	"-1", "0", "3000000000", "-3000000000", "9007199254740993", "9223372036854775807", "9223372036854775808", "-9223372036854775809", "1e3", "1e30", "1.0", "1.5", "-0",
}

func hostile(s *schema) []any {
	all := []any{nil, true, "text", json.RawMessage("1"), object{}, []any{}}
	switch s.Type {
	case "string":
		for _, text := range hostileTexts {
			all = append(all, text)
		}
	case "integer":
		for _, number := range hostileNumbers {
			all = append(all, json.RawMessage(number))
		}
	}
	return all
}

var _ = Describe("What the API server lets in", func() {
	for _, k := range kinds {
		It("can be read and written again: "+k.name, func(ctx context.Context) {
			namespace := newNamespace(ctx)
			s := schemaOf(k)
			stored, err := create(ctx, k, full(k, namespace, "stored"))
			Expect(err).NotTo(HaveOccurred())
			withStatus := copyOf(stored)
			withStatus["status"] = example(property(s, "status"), "status", 1)

			spec := trial{k, request{verb: http.MethodPost, namespace: namespace, plural: k.plural, params: dryRun}}
			status := trial{k, request{verb: http.MethodPut, namespace: namespace, plural: k.plural, params: dryRun, name: "stored", subresource: "status"}}
			Expect(spec.send(ctx, full(k, namespace, "new"))).To(BeTrue())
			Expect(status.send(ctx, withStatus)).To(BeTrue())

			accepted, wrong := 0, []string{}
			for _, l := range leaves(property(s, "spec"), "spec") {
				n, w := spec.sendAll(ctx, full(k, namespace, "new"), l)
				accepted, wrong = accepted+n, append(wrong, w...)
			}
			for _, l := range leaves(property(s, "status"), "status") {
				n, w := status.sendAll(ctx, withStatus, l)
				accepted, wrong = accepted+n, append(wrong, w...)
			}
			Expect(wrong).To(BeEmpty())
			Expect(accepted).To(BeNumerically(">", 100))
		})
	}
})

// trial sends objects in one way.
type trial struct {
	kind    kind
	request request
}

// sendAll sends the object once for each hostile value of the leaf, counts what was accepted, and says what should not have been.
func (t trial) sendAll(ctx context.Context, o object, l leaf) (accepted int, wrong []string) {
	GinkgoHelper()
	for _, value := range hostile(l.schema) {
		changed := copyOf(o)
		l.set(changed, value)
		ok, err := t.send(ctx, changed)
		if ok {
			accepted++
		}
		if err != nil {
			text, _ := json.Marshal(value)
			wrong = append(wrong, fmt.Sprintf("%s: %s is accepted, but: %v", l, text, err))
		}
	}
	return accepted, wrong
}

// send reports whether the API server accepts the object; if so, it is an error when Go cannot read it, or writes what is not accepted.
func (t trial) send(ctx context.Context, o object) (accepted bool, err error) {
	t.request.body = o
	content, err := t.request.raw(ctx)
	if err != nil {
		Expect(apierrors.IsInvalid(err) || apierrors.IsForbidden(err)).To(BeTrue(), "%v", err)
		return false, nil
	}
	typed := t.kind.new()
	if err := json.Unmarshal(content, typed); err != nil {
		return true, fmt.Errorf("read it: %w", err)
	}
	written, err := json.Marshal(typed)
	if err != nil {
		return true, fmt.Errorf("write it: %w", err)
	}
	if sameJSON(content, written) {
		return true, nil
	}
	t.request.body = json.RawMessage(written)
	if _, err := t.request.do(ctx); err != nil {
		return true, fmt.Errorf("write it again: %w", err)
	}
	return true, nil
}

// sameJSON: what was accepted once need not be sent again.
func sameJSON(a, b []byte) bool {
	GinkgoHelper()
	var x, y any
	Expect(json.Unmarshal(a, &x)).To(Succeed())
	Expect(json.Unmarshal(b, &y)).To(Succeed())
	return reflect.DeepEqual(x, y)
}
