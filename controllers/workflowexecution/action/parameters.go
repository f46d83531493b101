package action

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/workflowexecution/condition"
	"github.com/holdfast-dev/holdfast/internal/quantity"
	"github.com/holdfast-dev/holdfast/outbox"
)

// required as a default says that there is none.
const required = -1

// quoted bounds a value in a message.
const quoted = 128

// parameters reads a step's parameters and keeps the first error.
type parameters struct {
	action string
	values map[string]v1alpha1.ParameterValue
	err    error
}

func (p *parameters) fail(name, expected string) {
	if p.err != nil {
		return
	}
	value, given := p.values[name]
	if !given {
		p.err = fmt.Errorf("%w: parameter %q of %s is missing, expected %s", ErrParameter, name, p.action, expected)
		return
	}
	p.err = fmt.Errorf("%w: parameter %q of %s is %q, expected %s", ErrParameter, name, p.action, outbox.Bound(string(value), quoted), expected)
}

// finish returns the first error; a parameter that the action does not know is one, since it may be a known one mistyped.
func (p *parameters) finish() error {
	if p.err != nil {
		return p.err
	}
	known := Parameters(p.action)
	for _, name := range slices.Sorted(maps.Keys(p.values)) {
		if slices.Contains(known, name) {
			continue
		}
		expected := "none"
		if len(known) > 0 {
			expected = strings.Join(known, ", ")
		}
		return fmt.Errorf("%w: parameter %q of %s is unknown, expected %s", ErrParameter, outbox.Bound(name, quoted), p.action, expected)
	}
	return nil
}

func (p *parameters) text(name string) string { return string(p.values[name]) }

func (p *parameters) image(name string) string {
	value := p.text(name)
	if value == "" || strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		p.fail(name, "an image reference, for example registry.example.com/app:1.2")
	}
	return value
}

func (p *parameters) integer(name string, least, limit, otherwise int64) int64 {
	value, given := p.values[name]
	if !given && otherwise != required {
		return otherwise
	}
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil || n < least || n > limit {
		p.fail(name, fmt.Sprintf("a whole number from %d to %d", least, limit))
	}
	return n
}

func (p *parameters) selector(name string) labels.Selector {
	selector, err := labels.Parse(p.text(name))
	if err != nil {
		p.fail(name, "a label selector, for example app=web,tier!=cache")
		return labels.Everything()
	}
	return selector
}

func (p *parameters) memory(name string) *resource.Quantity {
	return p.quantity(name, quantity.Memory, quantity.MemoryForm)
}

func (p *parameters) cpu(name string) *resource.Quantity {
	return p.quantity(name, quantity.CPU, quantity.CPUForm)
}

func (p *parameters) quantity(name string, read func(string) (resource.Quantity, error), form string) *resource.Quantity {
	value, given := p.values[name]
	if !given {
		return nil
	}
	q, err := read(string(value))
	if err != nil {
		p.fail(name, form)
		return nil
	}
	return &q
}

func (p *parameters) resources() setResources {
	s := setResources{container: p.text("container"), only: p.text("only"), wanted: []wanted{
		{resource: "memory", limit: p.memory("memoryLimit"), request: p.memory("memoryRequest")},
		{resource: "cpu", limit: p.cpu("cpuLimit"), request: p.cpu("cpuRequest")},
	}}
	if _, given := p.values["only"]; given && s.only != increase {
		p.fail("only", increase+", or no parameter of this name")
	}
	given := false
	for _, w := range s.wanted {
		given = given || w.limit != nil || w.request != nil
		if w.limit != nil && w.request != nil && w.request.Cmp(*w.limit) > 0 {
			p.fail(w.resource+"Request", fmt.Sprintf("at most the limit of %s", w.limit))
		}
	}
	if !given && p.err == nil {
		p.err = fmt.Errorf("%w: SetResources changes nothing, expected at least one of memoryLimit, cpuLimit, memoryRequest, cpuRequest", ErrParameter)
	}
	return s
}

func (p *parameters) wait(timeout *metav1.Duration) *wait {
	w := &wait{expression: p.text("for"), pause: time.Duration(p.integer("seconds", 0, 30*24*3600, 0)) * time.Second}
	_, seconds := p.values["seconds"]
	switch {
	case w.expression == "" && !seconds:
		p.fail("for", "a CEL expression over the target, or the parameter seconds")
	case timeout != nil && w.pause > timeout.Duration:
		p.fail("seconds", fmt.Sprintf("at most the step's timeout of %s", timeout.Duration))
	}
	if w.expression != "" {
		var err error
		if w.until, err = condition.Compile(w.expression); err != nil {
			p.fail("for", "a CEL expression over the target; "+outbox.Bound(err.Error(), 512))
		}
	}
	return w
}
