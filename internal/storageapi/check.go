package storageapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/outbox"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/storageclient"
)

// maxFaults bounds an answer; what goes beyond is counted.
const maxFaults = 1000

// Fault is one thing that is wrong with a request's body.
type Fault = storageclient.Fault

// checker holds a body against schemas, token by token, and finds all that is wrong with it. It keeps nothing of what it reads: a body costs the memory of its
// bytes, whatever is in it.
type checker struct {
	tokens *json.Decoder
	root   *huma.Schema
	path   []string
	faults []Fault
	more   int
	// claims are the pointers of the fields that claim an origin.
	claims []string
}

// record checks one record: valid JSON text.
func (c *checker) record(text []byte, s *huma.Schema) {
	c.tokens = json.NewDecoder(bytes.NewReader(text))
	c.tokens.UseNumber()
	c.root = s
	c.value(s)
}

func (c *checker) fault(format string, args ...any) {
	if len(c.faults) >= maxFaults {
		c.more++
		return
	}
	c.faults = append(c.faults, Fault{Pointer: c.pointer(), Detail: fmt.Sprintf(format, args...)})
}

func (c *checker) faultAt(name, format string, args ...any) {
	c.path = append(c.path, name)
	c.fault(format, args...)
	c.path = c.path[:len(c.path)-1]
}

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

func (c *checker) pointer() string {
	var p strings.Builder
	for _, name := range c.path {
		p.WriteString("/" + pointerEscapes.Replace(outbox.Bound(name, 200)))
	}
	return p.String()
}

// next is the next token. There is one: the text was found to be valid JSON before.
func (c *checker) next() json.Token {
	t, err := c.tokens.Token()
	if err != nil {
		return nil
	}
	return t
}

// skip reads over a value, or over the rest of one whose opening token was read.
func (c *checker) skip(open bool) {
	if !open {
		var ignored json.RawMessage
		_ = c.tokens.Decode(&ignored)
		return
	}
	for depth := 1; depth > 0; {
		t, err := c.tokens.Token()
		if err != nil {
			return
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
}

func (c *checker) value(s *huma.Schema) {
	switch t := c.next().(type) {
	case nil:
		if !s.Nullable {
			c.fault("is null, expected %s", expected(s))
		}
	case json.Delim:
		switch {
		case t == '{' && s.Type == huma.TypeObject:
			c.object(s)
		case t == '[' && s.Type == huma.TypeArray:
			c.array(s)
		default:
			c.fault("is %s, expected %s", map[json.Delim]string{'{': "an object", '[': "an array"}[t], expected(s))
			c.skip(true)
		}
	case string:
		c.text(s, t)
	case json.Number:
		c.number(s, t.String())
	case bool:
		if s.Type != huma.TypeBoolean {
			c.fault("is %t, expected %s", t, expected(s))
		}
	}
}

func (c *checker) object(s *huma.Schema) {
	seen := map[string]bool{}
	for c.tokens.More() {
		name, _ := c.next().(string)
		c.path = append(c.path, name)
		member, ok := s.Properties[name]
		if !ok {
			member, ok = s.AdditionalProperties.(*huma.Schema)
		}
		switch {
		case seen[name]:
			c.fault("is given twice, expected once")
			c.skip(false)
		case !ok:
			c.unknown(name)
			c.skip(false)
		case s.MaxProperties != nil && len(seen) == *s.MaxProperties:
			c.fault("exceeds the maximum number of members, expected at most %d", *s.MaxProperties)
			c.skip(false)
		case s.MaxProperties != nil && len(seen) > *s.MaxProperties:
			c.skip(false)
		default:
			c.value(member)
		}
		seen[name] = true
		c.path = c.path[:len(c.path)-1]
	}
	c.next()
	for _, name := range s.Required {
		if !seen[name] {
			c.faultAt(name, "is missing, expected %s", expected(s.Properties[name]))
		}
	}
	if s != c.root {
		return
	}
	for _, name := range claims {
		if seen[name] && len(c.claims) < maxFaults {
			c.claims = append(c.claims, c.pointer()+"/"+name)
		}
	}
}

func (c *checker) unknown(name string) {
	if name == "recorded_by" || name == "created_at" {
		c.fault("is set by the service; remove it")
		return
	}
	c.fault("is not a field of this record; see /openapi.json")
}

func (c *checker) array(s *huma.Schema) {
	for i := 0; c.tokens.More(); i++ {
		if i == *s.MaxItems {
			c.fault("has more than %d items, expected at most that many", i)
			c.skip(true)
			return
		}
		c.path = append(c.path, strconv.Itoa(i))
		c.value(s.Items)
		c.path = c.path[:len(c.path)-1]
	}
	c.next()
}

func (c *checker) number(s *huma.Schema, text string) {
	f, err := strconv.ParseFloat(text, 64)
	fits := err == nil && (s.Type == huma.TypeInteger && f == math.Trunc(f) || s.Type == huma.TypeNumber)
	if !fits || f < *s.Minimum || f > *s.Maximum {
		c.fault("is %s, expected %s", outbox.Bound(text, 80), expected(s))
	}
}

func (c *checker) text(s *huma.Schema, text string) {
	if s.Type != huma.TypeString {
		c.fault("is a string, expected %s", expected(s))
		return
	}
	ok := true
	switch {
	case s.Format == "date-time":
		t, err := outboxapi.ParseTime(text)
		// Beyond these years an offset can make a year that RFC 3339 cannot write, and the year 1 means "not set".
		ok = err == nil && t.Year() > 1 && t.Year() < 9999
	case s.Format == "uuid":
		_, err := models.UUID(text)
		ok = err == nil
	case s.Pattern != "" && !patterns[s.Pattern].MatchString(text):
		ok = false
	}
	n := utf8.RuneCountInString(text)
	switch {
	case s.MaxLength != nil && n > *s.MaxLength || s.MinLength != nil && n < *s.MinLength:
		c.fault("has %d characters, expected %s", n, expected(s))
	case !ok:
		c.fault("is %q, expected %s", outbox.Bound(text, 80), expected(s))
	}
}
