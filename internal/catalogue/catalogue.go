package catalogue

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"

	"sigs.k8s.io/yaml"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
)

//go:embed workflows.yaml
var workflows []byte

// Catalogue is a set of workflows by id. It does not change, so everybody may share one.
type Catalogue struct {
	byID map[string]Workflow
	ids  []string
	hash string
}

// Workflow is a plan with holes for its parameters.
type Workflow struct {
	// ID names the workflow: in recommendations, executions and the audit trail.
	ID string `json:"id"`
	// Title is what it does, in a few words.
	Title string `json:"title"`
	// Description is what it does and when it helps: for people and for language models.
	Description string `json:"description"`
	// Kinds of targets that it can be run on.
	Kinds []string `json:"kinds"`
	// Parameters that it takes.
	Parameters []Parameter `json:"parameters,omitempty"`

	PreConditions  []v1alpha1.WorkflowCondition `json:"preConditions,omitempty"`
	Steps          []v1alpha1.WorkflowStep      `json:"steps"`
	PostConditions []v1alpha1.WorkflowCondition `json:"postConditions,omitempty"`
}

// Plan is a workflow without holes: what the spec of a WorkflowExecution takes.
type Plan struct {
	Steps          []v1alpha1.WorkflowStep
	PreConditions  []v1alpha1.WorkflowCondition
	PostConditions []v1alpha1.WorkflowCondition
}

// file is the YAML. Expressions, conditions and steps of the first three lists are only there to be referred to.
type file struct {
	Expressions []string                     `json:"expressions"`
	Conditions  []v1alpha1.WorkflowCondition `json:"conditions"`
	Steps       []v1alpha1.WorkflowStep      `json:"steps"`
	Workflows   []Workflow                   `json:"workflows"`
}

// Default is the embedded catalogue.
func Default() (*Catalogue, error) { return Parse(workflows) }

// Parse reads a catalogue. Unknown fields, doubled ids and holes that no parameter fills are errors.
func Parse(text []byte) (*Catalogue, error) {
	var f file
	if err := yaml.UnmarshalStrict(text, &f); err != nil {
		return nil, fmt.Errorf("read the workflow catalogue: %w", err)
	}
	c := &Catalogue{byID: make(map[string]Workflow, len(f.Workflows)), hash: hash(text)}
	for _, w := range f.Workflows {
		if err := w.validate(); err != nil {
			return nil, fmt.Errorf("workflow %q: %w", w.ID, err)
		}
		if _, doubled := c.byID[w.ID]; doubled {
			return nil, fmt.Errorf("workflow id %q is used twice; rename one of them", w.ID)
		}
		c.byID[w.ID] = w
		c.ids = append(c.ids, w.ID)
	}
	return c, nil
}

// Get returns the workflow with this id.
func (c *Catalogue) Get(id string) (Workflow, bool) {
	w, ok := c.byID[id]
	return w, ok
}

// IDs names the workflows, in the order of the catalogue.
func (c *Catalogue) IDs() []string { return slices.Clone(c.ids) }

// SHA256 is the hash, in hex, of the catalogue's text: that of the file.
func (c *Catalogue) SHA256() string { return c.hash }

// Version is the SHA-256, in hex, of the entry as JSON. It changes when anything about the workflow does, also its description.
func (w Workflow) Version() string {
	text, _ := json.Marshal(w) //nolint:errchkjson // it was made of YAML, which encodes
	return hash(text)
}

func hash(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Supports reports whether the workflow can be run on a target of this kind.
func (w Workflow) Supports(kind string) bool { return slices.Contains(w.Kinds, kind) }

var (
	id = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	// hole is a parameter's place. Only whole values are holes.
	hole = regexp.MustCompile(`^\$\{([A-Za-z][A-Za-z0-9]*)\}$`)
)

func (w Workflow) validate() error {
	switch {
	case !id.MatchString(w.ID):
		return fmt.Errorf("id is %q, expected lowercase letters, digits and dashes, at most 63", w.ID)
	case w.Title == "" || w.Description == "":
		return fmt.Errorf("title is %q and description is %q, expected both to be set", w.Title, w.Description)
	case len(w.Kinds) == 0:
		return fmt.Errorf("kinds is empty, expected at least one kind of target")
	case len(w.Steps) == 0:
		return fmt.Errorf("steps is empty, expected at least one")
	}
	used := map[string]bool{}
	names := map[string]bool{}
	for _, step := range w.Steps {
		if names[step.Name] {
			return fmt.Errorf("step name %q is used twice; rename one of them", step.Name)
		}
		names[step.Name] = true
		for _, value := range step.Parameters {
			if m := hole.FindStringSubmatch(string(value)); m != nil {
				used[m[1]] = true
			}
		}
	}
	for _, p := range w.Parameters {
		if err := p.validate(); err != nil {
			return err
		}
		if !used[p.Name] {
			return fmt.Errorf("parameter %q is declared but no step uses ${%s}", p.Name, p.Name)
		}
		delete(used, p.Name)
	}
	for name := range used {
		return fmt.Errorf("a step uses ${%s}, which is not declared as a parameter", name)
	}
	return nil
}
