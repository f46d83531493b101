package reportsapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
)

// cursor is a place in a list, and the question that the list answers. It is not signed: a place that somebody invents shows nothing that the question does not.
type cursor struct {
	Place    json.RawMessage `json:"p"`
	Question []byte          `json:"q"`
}

func hashOf(question any) []byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "%#v", question))
	return sum[:8]
}

func cursorOf(place, question any) string {
	p, _ := json.Marshal(place)                          //nolint:errchkjson // times, texts and numbers
	text, _ := json.Marshal(cursor{p, hashOf(question)}) //nolint:errchkjson // the same
	return base64.RawURLEncoding.EncodeToString(text)
}

// placeOf reads the parameter next; nil without one.
func placeOf[T any](p *params, question any) *T {
	value := p.text("next")
	if value == "" {
		return nil
	}
	var c cursor
	place := new(T)
	text, err := base64.RawURLEncoding.DecodeString(value)
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err == nil {
		err = json.Unmarshal(c.Place, place)
	}
	switch {
	case err != nil:
		p.fault("next", "is %s, expected the value of next of the page before, as it was", quoted(value))
	case !bytes.Equal(c.Question, hashOf(question)):
		p.fault("next", "is of a list with other parameters; expected the same parameters as for the page before, or no next")
	default:
		return place
	}
	return nil
}
