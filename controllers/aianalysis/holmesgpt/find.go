package holmesgpt

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"

	strictjson "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// bom is what some servers begin a text with.
var bom = []byte("\uFEFF")

// reasoning are the tags in which models write what they think before they answer.
var reasoning = []string{"think", "thinking", "thought", "reasoning"}

const (
	// triesBytes bounds the work on braces that begin no object: this many times the text is read at most.
	triesBytes = 8
	// tryBytes is what a brace costs beside the bytes that are read behind it.
	tryBytes = 64
)

// findAnswer reads the one answer in what a model wrote. Models write prose, fences and lists around it. So every JSON object in the text that stands in no other is looked at, and those with
// a member root_cause or workflow count. There must be one. A model that quotes a log may quote an answer of whoever wrote the log: two that differ are none.
func findAnswer(text []byte) (*structured, error) {
	rest, err := skipReasoning(bytes.TrimPrefix(text, bom))
	if err != nil {
		return nil, err
	}
	var answer *structured
	for budget := triesBytes * (len(rest) + tryBytes); ; {
		at := bytes.IndexByte(rest, '{')
		if at < 0 {
			break
		}
		rest = rest[at:]
		name, begun := firstName(rest)
		if !begun {
			rest = rest[1:]
			continue
		}
		object, read, err := readObject(rest)
		switch {
		case err != nil && slices.Contains(names, name):
			return nil, err // an answer that is cut off, say; what is in it is not one of its own
		case err != nil:
			if budget -= read + tryBytes; budget < 0 {
				return nil, errors.New("it has too many opening braces that do not start a JSON object")
			}
			rest = rest[1:]
			continue
		}
		rest = rest[len(object):]
		if !isAnswer(object) {
			continue
		}
		next := &structured{}
		if err := strictjson.Unmarshal(object, next, anyUTF8); err != nil {
			return nil, err
		}
		if answer != nil && !reflect.DeepEqual(answer, next) {
			return nil, errors.New("it has two different answers, expected one")
		}
		answer = next
	}
	if answer == nil {
		return nil, errors.New("it has no JSON object with the members root_cause and workflow")
	}
	return answer, nil
}

// skipReasoning skips what a text begins with in tags of reasoning. Tags elsewhere may come from a log, and mean nothing.
func skipReasoning(text []byte) ([]byte, error) {
	for {
		text = bytes.TrimSpace(text)
		tag := slices.IndexFunc(reasoning, func(tag string) bool { return bytes.HasPrefix(text, []byte("<"+tag+">")) })
		if tag < 0 {
			return text, nil
		}
		_, after, closed := bytes.Cut(text, []byte("</"+reasoning[tag]+">"))
		if !closed {
			return nil, fmt.Errorf("it starts with <%s> and has no </%[1]s>", reasoning[tag])
		}
		text = after
	}
}

// names are the members of an answer.
var names = []string{"root_cause", "root_cause_confidence", "workflow", "parameters", "action_confidence", "rationale", "no_action_reason", "alternatives"}

// firstName is the first member's name of the object that a brace begins, as it is written and cut to the length of the longest of names; begun is false if a brace begins no object.
func firstName(text []byte) (name string, begun bool) {
	text, begun = bytes.CutPrefix(bytes.TrimLeft(text[1:], " \t\r\n"), []byte(`"`))
	if !begun {
		return "", false
	}
	before, _, _ := bytes.Cut(text[:min(len(text), 32)], []byte(`"`))
	return string(before), true
}

// readObject reads the JSON object that a text begins with, and how many bytes it looked at.
func readObject(text []byte) (object jsontext.Value, read int, _ error) {
	d := jsontext.NewDecoder(bytes.NewBuffer(text), anyUTF8, jsontext.AllowDuplicateNames(true))
	object, err := d.ReadValue()
	if err == nil {
		return object, len(object), nil
	}
	if bad := (*jsontext.SyntacticError)(nil); errors.As(err, &bad) {
		return nil, int(bad.ByteOffset), err
	}
	return nil, len(text), err
}

// isAnswer reports whether an object is meant as an answer.
func isAnswer(object jsontext.Value) bool {
	var members struct {
		RootCause jsontext.Value `json:"root_cause"`
		Workflow  jsontext.Value `json:"workflow"`
	}
	err := strictjson.Unmarshal(object, &members, anyUTF8, jsontext.AllowDuplicateNames(true))
	return err == nil && (members.RootCause != nil || members.Workflow != nil)
}
