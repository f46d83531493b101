package relay

import (
	"encoding/json"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/outbox"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// operation is one of RFC 6902.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// patchFor makes the JSON patch for "trim", "release" or "restore". A failed test makes the API server refuse all of it with 422.
func patchFor(op string, obj outbox.Object, w entry.Watermark) (client.Patch, error) {
	o := outboxapi.Get(obj)
	operations := []operation{
		{"test", "/metadata/uid", obj.GetUID()},
		{"test", "/status/outbox/headHash", o.HeadHash},
	}
	switch op {
	case "trim":
		kept := append([]outboxapi.Entry{}, entry.PendingOf(obj.GetUID(), o).Above(w).Texts()...)
		operations = append(operations,
			// Another relay may have trimmed since: putting back what it dropped would be wrong.
			operation{"test", "/status/outbox/persistedSequence", o.PersistedSequence},
			operation{"add", "/status/outbox/entries", kept},
			operation{"add", "/status/outbox/persistedSequence", w.Sequence},
			operation{"add", "/status/outbox/persistedTime", outboxapi.NewTime(w.Time)},
			operation{"add", "/status/outbox/pending", len(kept)},
		)
	case "restore":
		// The list is written as a whole, so it must be the one that was read.
		operations = append(operations,
			operation{"test", "/metadata/resourceVersion", obj.GetResourceVersion()},
			operation{"add", "/metadata/finalizers", append(slices.Clone(obj.GetFinalizers()), outbox.Finalizer)},
		)
	case "release":
		operations = append(operations, operation{"test", "/status/outbox/closed", true})
		// From behind, so that the places before stay as they are. It is there once, unless somebody wrote it more often: without a bound the patch would be refused.
		finalizers, left := obj.GetFinalizers(), 100
		for at := len(finalizers) - 1; at >= 0 && left > 0; at-- {
			if finalizers[at] == outbox.Finalizer {
				path := fmt.Sprintf("/metadata/finalizers/%d", at)
				operations = append(operations, operation{"test", path, outbox.Finalizer}, operation{Op: "remove", Path: path})
				left--
			}
		}
	}
	data, err := json.Marshal(operations)
	if err != nil {
		return nil, fmt.Errorf("encode %s of %s: %w", op, entry.SourceOf(obj), err)
	}
	return client.RawPatch(types.JSONPatchType, data), nil
}
