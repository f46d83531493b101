package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// maxPolicy bounds the text of a Policy, which is read for each message.
const maxPolicy = 32 << 10

// decodeYAML reads a text of a tenant. An alias is refused: a hundred kilobytes of them stand for gigabytes, and every namespace has the same gateway.
func decodeYAML(text string, into any) error {
	if len(text) > maxPolicy {
		return fmt.Errorf("it has %d bytes, expected at most %d", len(text), maxPolicy)
	}
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		return err
	}
	if document.IsZero() {
		return nil // an empty text
	}
	if alias := aliasIn(&document); alias != nil {
		return fmt.Errorf("line %d has the alias *%.50s, expected none: write out what it stands for", alias.Line, alias.Value)
	}
	var plain any
	if err := document.Decode(&plain); err != nil {
		return err
	}
	written, err := json.Marshal(plain)
	if err != nil {
		return errors.New("a key is no text, or a number has no value in JSON")
	}
	d := json.NewDecoder(bytes.NewReader(written))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// aliasIn is an alias of a node, nil without one.
func aliasIn(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n
	}
	for _, inner := range n.Content {
		if alias := aliasIn(inner); alias != nil {
			return alias
		}
	}
	return nil
}
