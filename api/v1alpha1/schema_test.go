package v1alpha1_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/holdfast-dev/holdfast/config"
)

// Objects are made from the schemas that the API server has, so that a field which somebody adds is tested too.

type schema = apiextensionsv1.JSONSchemaProps

// definitions are the CustomResourceDefinitions by kind.
var definitions = sync.OnceValue(func() map[string]*apiextensionsv1.CustomResourceDefinition {
	crds, err := config.CRDs()
	if err != nil {
		panic(err)
	}
	byKind := map[string]*apiextensionsv1.CustomResourceDefinition{}
	for _, crd := range crds {
		byKind[crd.Spec.Names.Kind] = crd
	}
	return byKind
})

func schemaOf(k kind) *schema { return definitions()[k.name].Spec.Versions[0].Schema.OpenAPIV3Schema }

// property is the schema of a field of an object.
func property(s *schema, names ...string) *schema {
	GinkgoHelper()
	for _, name := range names {
		p, ok := s.Properties[name]
		Expect(ok).To(BeTrue(), name)
		s = &p
	}
	return s
}

// Two values for each pattern that a string may ask for.
var candidates = [2][]string{
	{"x", "Deployment", "10s", strings.Repeat("0", 64), "2026-11-23T04:05:06.000000Z"},
	{"y", "StatefulSet", "11s", strings.Repeat("1", 64), "2026-11-23T04:05:07.000000Z"},
}

// values that a rule across fields asks for, by the end of the path.
var values = map[string][2]string{
	"decision.decidedBy": {user, user}, // holdfast-approval refuses others
	"requestedBy":        {user, user}, // and holdfast-identity
	"cancelledBy":        {user, user},
	"type":               {"slack", "webhook"},
	"closed":             {},
}

// example makes a value with every field set, all lists and maps with one element; which is 0 or 1, and gives two that differ in every leaf.
func example(s *schema, path string, which int) any {
	switch {
	case s.XPreserveUnknownFields != nil && *s.XPreserveUnknownFields:
		return object{"free": []any{which, "form"}}
	case s.Type == "object" && s.AdditionalProperties != nil:
		return object{"key": example(s.AdditionalProperties.Schema, path+".key", which)}
	case s.Type == "object":
		o := object{}
		for name, p := range s.Properties {
			o[name] = example(&p, path+"."+name, which)
		}
		return o
	case s.Type == "array":
		return []any{example(s.Items.Schema, path+"[]", which)}
	case s.Type == "string":
		return exampleText(s, path, which)
	case s.Type == "integer" && strings.HasSuffix(path, "outbox.lastSequence"):
		return int64(1 + which) // one more than an empty outbox has: there is an entry, and a new head
	case s.Type == "integer" && s.Minimum != nil:
		return int64(*s.Minimum) + int64(which)
	case s.Type == "integer":
		return int64(1 + which)
	case s.Type == "boolean":
		return which == 0 && !strings.HasSuffix(path, "outbox.closed")
	}
	Fail(fmt.Sprintf("%s: no example for the type %q", path, s.Type))
	return nil
}

func exampleText(s *schema, path string, which int) string {
	for end, pair := range values {
		if strings.HasSuffix(path, "."+end) && pair[which] != "" && (len(s.Enum) == 0 || strings.HasSuffix(path, "channels[].type")) {
			return pair[which]
		}
	}
	if len(s.Enum) > 0 {
		return strings.Trim(string(s.Enum[min(which, len(s.Enum)-1)].Raw), `"`)
	}
	if s.Format == "date-time" {
		return candidates[which][4]
	}
	pattern := regexp.MustCompile(patternOf(s))
	for _, text := range candidates[which] {
		if pattern.MatchString(text) {
			return text
		}
	}
	Fail(fmt.Sprintf("%s: no example for the pattern %s", path, pattern))
	return ""
}

var matches = regexp.MustCompile(`^self\.matches\('([^']*)'\)`)

// patternOf is the pattern that a string must match: the schema's own, or that of a rule, which refuses with a message for people.
func patternOf(s *schema) string {
	for _, rule := range s.XValidations {
		if found := matches.FindStringSubmatch(rule.Rule); found != nil {
			return found[1]
		}
	}
	return s.Pattern
}

// full is an object of the kind with all of its spec.
func full(k kind, namespace, name string) object {
	spec := example(property(schemaOf(k), "spec"), "spec", 0).(object)
	spec["cancel"] = false
	delete(spec, "cancelledBy") // it comes with cancel
	return object{
		"apiVersion": "holdfast.dev/v1alpha1", "kind": k.name, "metadata": object{"namespace": namespace, "name": name}, "spec": spec,
	}
}

// sparse is an object of the kind with only what its spec requires.
func sparse(k kind, namespace, name string) object {
	o := full(k, namespace, name)
	s, spec := property(schemaOf(k), "spec"), o["spec"].(object)
	maps.DeleteFunc(spec, func(field string, _ any) bool { return !slices.Contains(s.Required, field) })
	return o
}

// leaf is a scalar in an object: how to get there from the root, and its schema.
type leaf struct {
	path   []any // names of fields, and 0 for the only element of a list
	schema *schema
}

func (l leaf) String() string {
	text := make([]string, 0, len(l.path))
	for _, step := range l.path {
		text = append(text, fmt.Sprint(step))
	}
	return strings.Join(text, ".")
}

// set replaces the leaf's value in an object that example has made.
func (l leaf) set(o object, value any) {
	var at any = o
	for i, step := range l.path {
		last := i == len(l.path)-1
		switch step := step.(type) {
		case string:
			if last {
				at.(object)[step] = value
				return
			}
			at = at.(object)[step]
		case int:
			if last {
				at.([]any)[step] = value
				return
			}
			at = at.([]any)[step]
		}
	}
}

// leaves lists the scalars below a schema, sorted by path.
func leaves(s *schema, path ...any) []leaf {
	at := slices.Clone(path)
	switch {
	case s.XPreserveUnknownFields != nil && *s.XPreserveUnknownFields:
		return nil
	case s.Type == "object" && s.AdditionalProperties != nil:
		return leaves(s.AdditionalProperties.Schema, append(at, "key")...)
	case s.Type == "array":
		return leaves(s.Items.Schema, append(at, 0)...)
	case s.Type == "object":
		var all []leaf
		for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
			p := s.Properties[name]
			all = append(all, leaves(&p, append(slices.Clone(at), name)...)...)
		}
		return all
	}
	return []leaf{{at, s}}
}
