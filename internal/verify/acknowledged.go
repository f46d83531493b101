package verify

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// Acknowledged is who looked into a finding, when, and why it stays.
type Acknowledged struct {
	By     string    `json:"by"`
	Time   time.Time `json:"time"`
	Reason string    `json:"reason"`
}

// Place is where a finding is.
type Place struct {
	Problem   Problem `json:"problem"`
	Table     string  `json:"table,omitempty"`
	ID        string  `json:"id,omitempty"`
	Cluster   string  `json:"cluster,omitempty"`
	Namespace string  `json:"namespace,omitempty"`
	Name      string  `json:"name,omitempty"`
	UID       string  `json:"uid,omitempty"`
	Sequence  int64   `json:"sequence,omitempty"`
}

// Place is where the finding is.
func (f *Finding) Place() Place {
	return Place{f.Problem, f.Table, f.ID, f.Cluster, f.Namespace, f.Name, f.UID, f.Sequence}
}

// Acknowledgement is of one finding: its place, and what was seen there. Neither alone is enough.
type Acknowledgement struct {
	Place
	// Seen is the finding's.
	Seen string `json:"seen"`
	Acknowledged
}

// Unmatched is an acknowledgement of which there is no finding.
type Unmatched struct {
	Acknowledgement
	Why string `json:"why"`
}

// Bounds of a file with acknowledgements.
const (
	maxAcknowledgedBytes = 8 << 20
	maxBy, maxReason     = 255, 4096
)

// problems are all that there are.
var problems = []Problem{Changed, Column, Reordered, Missing, Forked, Doubled, Broken, AfterFinal, Diverged, Invented, Undecided, Unfinished}

var hexHash = regexp.MustCompile(`^[0-9a-f]{64}$`)

// ReadAcknowledged reads a file with acknowledgements, one YAML or JSON document with the member acknowledged. It refuses what it does not know, and what is not of one finding.
func ReadAcknowledged(r io.Reader, now time.Time) ([]Acknowledgement, error) {
	content, err := io.ReadAll(io.LimitReader(r, maxAcknowledgedBytes+1))
	switch {
	case err != nil:
		return nil, err
	case len(content) > maxAcknowledgedBytes:
		return nil, fmt.Errorf("the file has more than %d bytes, expected one YAML or JSON document with acknowledgements", maxAcknowledgedBytes)
	}
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(content)))
	var one []byte
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if len(bytes.TrimSpace(document)) == 0 {
			continue
		}
		if one != nil {
			return nil, errors.New("the file has more than one document, expected one")
		}
		one = document
	}
	var file struct {
		Acknowledged []Acknowledgement `json:"acknowledged"`
	}
	if err := yaml.UnmarshalStrict(one, &file); err != nil {
		return nil, fmt.Errorf("not a list of acknowledgements: %w", err)
	}
	first := map[string]int{}
	for i := range file.Acknowledged {
		a := &file.Acknowledged[i]
		if err := a.check(now); err != nil {
			return nil, fmt.Errorf("acknowledged[%d].%w", i, err)
		}
		if earlier, there := first[a.Seen]; there {
			return nil, fmt.Errorf("acknowledged[%d] repeats acknowledged[%d], expected one per finding", i, earlier)
		}
		first[a.Seen] = i
	}
	return file.Acknowledged, nil
}

func (a *Acknowledgement) check(now time.Time) error {
	switch {
	case !slices.Contains(problems, a.Problem):
		return fmt.Errorf("problem is %.64q, expected one of %s", a.Problem, strings.Trim(fmt.Sprint(problems), "[]"))
	case a.UID == "" && a.ID == "":
		return errors.New("uid and id are empty, expected those of the finding; an acknowledgement covers one finding")
	case !hexHash.MatchString(a.Seen):
		return fmt.Errorf("seen is %.80q, expected the 64 hex digits that verify prints as seen for the finding", a.Seen)
	case strings.TrimSpace(a.By) == "" || len(a.By) > maxBy:
		return fmt.Errorf("by is %.80q, expected the name of the person who investigated, 1 to %d bytes", a.By, maxBy)
	case a.Time.IsZero() || a.Time.After(now.Add(24*time.Hour)):
		return fmt.Errorf("time is %s, expected the time of the investigation, not in the future, as in %s", a.Time.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	case strings.TrimSpace(a.Reason) == "" || len(a.Reason) > maxReason:
		return fmt.Errorf("reason is %.80q, expected why the finding is accepted, 1 to %d bytes", a.Reason, maxReason)
	}
	return nil
}

// acknowledgements are those that were given, and what came of them.
type acknowledgements struct {
	given  []Acknowledgement
	bySeen map[string]*acknowledgement
	// places are those of the acknowledgements, to tell a finding that changed from one that is gone.
	places map[Place][]*acknowledgement
}

type acknowledgement struct {
	*Acknowledgement
	used, changed bool
}

func newAcknowledgements(given []Acknowledgement) *acknowledgements {
	all := &acknowledgements{given: given, bySeen: map[string]*acknowledgement{}, places: map[Place][]*acknowledgement{}}
	for i := range given {
		a := &acknowledgement{Acknowledgement: &given[i]}
		all.bySeen[a.Seen] = a
		all.places[a.Place] = append(all.places[a.Place], a)
	}
	return all
}

// of returns the acknowledgement of a finding, nil if it has none. Each is good for one finding.
func (all *acknowledgements) of(f *Finding) *Acknowledged {
	if a := all.bySeen[f.Seen]; a != nil && a.Place == f.Place() && !a.used {
		a.used = true
		return &a.Acknowledged
	}
	for _, a := range all.places[f.Place()] {
		a.changed = true
	}
	return nil
}

// unmatched are those without a finding. Where a part of the trail was not looked at, nobody knows of a finding there: unlooked says so.
func (all *acknowledgements) unmatched(unlooked func(Place) bool) (unmatched []Unmatched, unknown int) {
	for i := range all.given {
		a := all.bySeen[all.given[i].Seen]
		switch {
		case a.used:
		case a.changed:
			unmatched = append(unmatched, Unmatched{*a.Acknowledgement, "the finding or its chain changed after the acknowledgement; investigate again"})
		case unlooked(a.Place):
			unknown++
		default:
			unmatched = append(unmatched, Unmatched{*a.Acknowledgement, "the finding no longer exists: it was fixed, or the rows were removed"})
		}
	}
	return unmatched, unknown
}
