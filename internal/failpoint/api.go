//go:build failpoint

package failpoint

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"k8s.io/client-go/rest"
)

// API makes boundaries of the writes of every client that is made from this config, those that act as other accounts too.
func API(c *rest.Config) {
	n := &namer{newest: map[string]int64{}}
	c.Wrap(func(next http.RoundTripper) http.RoundTripper { return transport{next: next, name: n.name} })
}

// HTTP makes a boundary of each request.
func HTTP(name string, next http.RoundTripper) http.RoundTripper {
	return transport{next: next, name: func(*http.Request) string { return name }}
}

type transport struct {
	next http.RoundTripper
	name func(*http.Request) string
}

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	name := t.name(r)
	if name == "" {
		return t.next.RoundTrip(r)
	}
	Before(name)
	answer, err := t.next.RoundTrip(r)
	After(name)
	return answer, err
}

const group = "holdfast.dev"

// namer names requests. It remembers which entries were sent, to tell status writes that append from those that do not.
type namer struct {
	mu     sync.Mutex
	newest map[string]int64 // uid → sequence
}

// name is empty for what is no boundary.
func (n *namer) name(r *http.Request) string {
	api, resource, named := resourceOf(r.URL.Path)
	kind, _, _ := strings.Cut(resource, "/")
	switch {
	case kind == "" || kind == "events" || kind == "leases" || strings.HasSuffix(kind, "reviews"):
		return ""
	case r.Method == http.MethodGet && api == group && named:
		return "get " + resource
	case r.Method == http.MethodPost:
		return strings.TrimSpace("create " + resource + " " + purpose(body(r)))
	case r.Method == http.MethodDelete:
		return "delete " + resource
	case r.Method == http.MethodPut:
		return strings.TrimSpace("update " + resource + " " + n.event(body(r)))
	case r.Method == http.MethodPatch:
		verb := strings.TrimSuffix(strings.TrimPrefix(r.Header.Get("Content-Type"), "application/"), "+json")
		return verb + " " + resource + " " + changes(verb, body(r))
	}
	return ""
}

// purpose is that of a notification.
func purpose(text []byte) string {
	var o struct {
		Spec struct {
			Purpose string `json:"purpose"`
		} `json:"spec"`
	}
	_ = json.Unmarshal(text, &o) // what is not JSON has none
	return o.Spec.Purpose
}

// resourceOf reads a path such as /apis/holdfast.dev/v1alpha1/namespaces/shop/aianalyses/a/status.
func resourceOf(path string) (group, resource string, named bool) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	switch {
	case len(parts) > 2 && parts[0] == "api":
		parts = parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		group, parts = parts[1], parts[3:]
	default:
		return "", "", false
	}
	if parts[0] == "namespaces" && len(parts) > 2 {
		parts = parts[2:]
	}
	resource = parts[0]
	if len(parts) > 2 {
		resource += "/" + parts[2]
	}
	return group, resource, len(parts) > 1
}

// event is that of an entry which was not sent before.
func (n *namer) event(text []byte) string {
	var o struct {
		Metadata struct {
			UID string `json:"uid"`
		} `json:"metadata"`
		Status struct {
			Outbox struct {
				Entries []string `json:"entries"`
			} `json:"outbox"`
		} `json:"status"`
	}
	if json.Unmarshal(text, &o) != nil || len(o.Status.Outbox.Entries) == 0 {
		return ""
	}
	var last struct {
		Sequence int64  `json:"sequence"`
		Event    string `json:"event"`
	}
	if json.Unmarshal([]byte(o.Status.Outbox.Entries[len(o.Status.Outbox.Entries)-1]), &last) != nil {
		return ""
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if last.Sequence <= n.newest[o.Metadata.UID] {
		return ""
	}
	n.newest[o.Metadata.UID] = last.Sequence
	return last.Event
}

// changes names the parts of the object that a patch changes.
func changes(verb string, text []byte) string {
	parts := map[string]bool{}
	if verb == "json-patch" {
		var operations []struct{ Op, Path string }
		_ = json.Unmarshal(text, &operations) // what is not JSON has no parts
		for _, o := range operations {
			if o.Op != "test" {
				part, _, _ := strings.Cut(strings.TrimPrefix(o.Path, "/"), "/")
				parts[part] = true
			}
		}
	} else {
		var object map[string]any
		_ = json.Unmarshal(text, &object)
		for part := range object {
			parts[part] = true
		}
		if len(parts) > 1 {
			delete(parts, "metadata") // holds the resource version that guards the patch
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(parts)), ",")
}

// body reads a request's body and puts it back.
func body(r *http.Request) []byte {
	if r.Body == nil {
		return nil
	}
	text, err := io.ReadAll(r.Body)
	_ = r.Body.Close()
	if err != nil {
		return nil
	}
	r.Body = io.NopCloser(bytes.NewReader(text))
	return text
}
