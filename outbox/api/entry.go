package api

import "encoding/json"

// Entry is one audit entry: a text in canonical JSON (RFC 8785), byte for byte what was hashed, what etcd has and what becomes the column `entry`. docs/entry.md
// specifies it; package outbox reads and writes it.
//
// A text, because structure is what a status write costs the API server, not bytes; and because no value of an entry can break the list of its kind then.
//
// +kubebuilder:validation:MaxLength=65536
type Entry string

// UnmarshalJSON takes whatever is there, and never returns an error: one bad entry must not break the list of its kind. What is no string, such as the object of a
// development version, becomes the text of its JSON. The relay turns it into a dead letter.
func (e *Entry) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) != nil {
		text = string(b)
	}
	*e = Entry(text)
	return nil
}
