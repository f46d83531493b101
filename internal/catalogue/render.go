package catalogue

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/quantity"
)

// ErrParameters says that the parameters do not fit the workflow. Other parameters may.
var ErrParameters = errors.New("invalid workflow parameters")

// Types of parameters.
const (
	typeInteger  = "integer"
	typeMemory   = "memory"
	typeName     = "name"
	typeImage    = "image"
	typeSelector = "selector"
)

const (
	// maxValue is the longest value of a parameter, in bytes: what the API takes.
	maxValue = 1024
	// maxUnknown is how many parameters that do not exist an error names.
	maxUnknown = 5
)

// Parameter is what a workflow must or may be told.
type Parameter struct {
	// Name as in ${name}.
	Name string `json:"name"`
	// Description for people and for language models.
	Description string `json:"description"`
	// Type is integer (from Min to Max), memory (of a container), name (of a container), image or selector (of labels).
	Type string `json:"type"`
	// Default is the value when none is given.
	Default string `json:"default,omitempty"`
	// Optional parameters without a value are left out of the step.
	Optional bool `json:"optional,omitempty"`
	// Min and Max bound an integer.
	Min int64 `json:"min,omitempty"`
	Max int64 `json:"max,omitempty"`
}

// Required reports whether a value must be given.
func (p Parameter) Required() bool { return p.Default == "" && !p.Optional }

var (
	containerName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	// A reference as registries take it, loosely: what it must not have is white space and control characters.
	imageReference = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,511}$`)
)

// Render fills the holes. An empty value counts as not given. The error wraps ErrParameters and names every parameter that is missing, unknown or of the
// wrong form, with what was expected.
func (w Workflow) Render(params map[string]string) (Plan, error) {
	values, err := w.values(params)
	if err != nil {
		return Plan{}, err
	}
	plan := Plan{PreConditions: slices.Clone(w.PreConditions), PostConditions: slices.Clone(w.PostConditions)}
	for _, step := range w.Steps {
		filled := *step.DeepCopy()
		for key, value := range step.Parameters {
			m := hole.FindStringSubmatch(string(value))
			if m == nil {
				continue
			}
			if v := values[m[1]]; v != "" {
				filled.Parameters[key] = v1alpha1.ParameterValue(v)
			} else {
				delete(filled.Parameters, key)
			}
		}
		plan.Steps = append(plan.Steps, filled)
	}
	return plan, nil
}

// Makes reports whether a plan is this workflow with its holes filled: the steps do the same in the same order, what is no hole is unchanged, and so are the conditions. Timeouts and
// retries are left out, since the API server fills in defaults.
func (w Workflow) Makes(plan Plan) bool {
	return slices.Equal(w.PreConditions, plan.PreConditions) && slices.Equal(w.PostConditions, plan.PostConditions) &&
		slices.EqualFunc(w.Steps, plan.Steps, func(of, made v1alpha1.WorkflowStep) bool {
			if of.Name != made.Name || of.Action != made.Action {
				return false
			}
			for key := range made.Parameters {
				if _, known := of.Parameters[key]; !known {
					return false
				}
			}
			for key, value := range of.Parameters {
				if !hole.MatchString(string(value)) && made.Parameters[key] != value {
					return false
				}
			}
			return true
		})
}

// values are the parameters with their defaults, checked.
func (w Workflow) values(params map[string]string) (map[string]string, error) {
	var problems []string
	values := map[string]string{}
	for _, p := range w.Parameters {
		v := params[p.Name]
		if v == "" {
			v = p.Default
		}
		if v == "" && p.Required() {
			problems = append(problems, fmt.Sprintf("%s is missing, expected %s", p.Name, p.Description))
		}
		if v == "" {
			continue
		}
		if err := p.check(v); err != nil {
			problems = append(problems, err.Error())
		}
		values[p.Name] = v
	}
	unknown := 0
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if slices.ContainsFunc(w.Parameters, func(p Parameter) bool { return p.Name == name }) {
			continue
		}
		if unknown++; unknown <= maxUnknown {
			problems = append(problems, fmt.Sprintf("%.64q is not a parameter, expected %s", name, w.parameterNames()))
		}
	}
	if unknown > maxUnknown {
		problems = append(problems, fmt.Sprintf("%d further names are not parameters", unknown-maxUnknown))
	}
	if len(problems) > 0 {
		return nil, fmt.Errorf("%w: workflow %s: %s", ErrParameters, w.ID, strings.Join(problems, "; "))
	}
	return values, nil
}

func (w Workflow) parameterNames() string {
	names := make([]string, 0, len(w.Parameters))
	for _, p := range w.Parameters {
		names = append(names, p.Name)
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// check reports whether a value has the parameter's form. Nothing is parsed that is longer than a parameter may be.
func (p Parameter) check(v string) error {
	if len(v) > maxValue || !p.fits(v) {
		return fmt.Errorf("%s is %.64q, expected %s", p.Name, v, p.expected())
	}
	return nil
}

func (p Parameter) fits(v string) bool {
	switch p.Type {
	case typeInteger:
		n, err := strconv.ParseInt(v, 10, 64)
		return err == nil && n >= p.Min && n <= p.Max && strconv.FormatInt(n, 10) == v
	case typeMemory:
		_, err := quantity.Memory(v)
		return err == nil
	case typeName:
		return containerName.MatchString(v)
	case typeImage:
		return imageReference.MatchString(v)
	case typeSelector:
		_, err := labels.Parse(v)
		return err == nil
	}
	return false
}

func (p Parameter) expected() string {
	switch p.Type {
	case typeInteger:
		return fmt.Sprintf("a whole number from %d to %d", p.Min, p.Max)
	case typeMemory:
		return quantity.MemoryForm
	case typeName:
		return "the name of a container, of at most 63 bytes"
	case typeImage:
		return "an image reference, such as registry.example.com/shop/cart:1.4.2, of at most 512 bytes"
	default:
		return fmt.Sprintf("a label selector, such as app=cart, of at most %d bytes", maxValue)
	}
}

func (p Parameter) validate() error {
	known := []string{typeInteger, typeMemory, typeName, typeImage, typeSelector}
	switch {
	case !hole.MatchString("${" + p.Name + "}"):
		return fmt.Errorf("parameter name is %q, expected letters and digits", p.Name)
	case p.Description == "":
		return fmt.Errorf("parameter %q has no description", p.Name)
	case !slices.Contains(known, p.Type):
		return fmt.Errorf("parameter %q has type %q, expected one of %s", p.Name, p.Type, strings.Join(known, ", "))
	case p.Default != "" && p.check(p.Default) != nil:
		return fmt.Errorf("default of parameter %q: %w", p.Name, p.check(p.Default))
	}
	return nil
}
