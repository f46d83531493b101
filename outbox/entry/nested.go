package entry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// outboxMembers are what tells an outbox from other JSON.
var outboxMembers = []string{"entries", "headHash", "lastSequence"}

// nestedOutbox is the path of an outbox within a record, "" if there is none. A record that holds the status it was made from would hold every entry before it, and double with each.
func nestedOutbox(record []byte) string {
	if !bytes.Contains(record, []byte(`"headHash":`)) { // most records: nothing more to look at
		return ""
	}
	var tree any
	if json.Unmarshal(record, &tree) != nil {
		return ""
	}
	return findOutbox("record", tree)
}

func findOutbox(path string, tree any) string {
	switch node := tree.(type) {
	case map[string]any:
		if !slices.ContainsFunc(outboxMembers, func(member string) bool { _, there := node[member]; return !there }) {
			return path
		}
		for _, name := range slices.Sorted(maps.Keys(node)) {
			if found := findOutbox(path+"."+name, node[name]); found != "" {
				return found
			}
		}
	case []any:
		for i, item := range node {
			if found := findOutbox(fmt.Sprintf("%s[%d]", path, i), item); found != "" {
				return found
			}
		}
	}
	return ""
}

// refuseNested is the error for a record that holds an outbox.
func refuseNested(record []byte) error {
	if path := nestedOutbox(record); path != "" {
		return fmt.Errorf("%w: %s holds an outbox (%s); leave it out of the record: it would hold every entry before it, and double with each", ErrInvalid, path, strings.Join(outboxMembers, ", "))
	}
	return nil
}
