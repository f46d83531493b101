package verify

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/postgres"
)

// Problem is what is wrong, one word for scripts.
type Problem string

const (
	// Changed: an entry's text does not have the hash that stands beside it, or does not decode.
	Changed Problem = "changed"
	// Column: a column does not say what the entry says.
	Column Problem = "column"
	// Reordered: an entry is in another place, or under another id, than it says of itself.
	Reordered Problem = "reordered"
	// Missing: entries of a chain have neither row nor dead letter.
	Missing Problem = "missing"
	// Forked: two entries claim one place.
	Forked Problem = "forked"
	// Doubled: one entry has two rows.
	Doubled Problem = "doubled"
	// Broken: an entry does not follow the one before it, so one of the two was replaced.
	Broken Problem = "broken"
	// AfterFinal: an entry follows the one that closed the record.
	AfterFinal Problem = "after-final"
	// Diverged: the live resource has another entry in this place.
	Diverged Problem = "diverged"
	// Invented: the chain goes on beyond the newest entry of the live resource.
	Invented Problem = "invented"
	// Undecided: a remediation invoked a workflow, or ended as remediated, and no decision of its analysis is in the trail.
	Undecided Problem = "undecided"
	// Unfinished: the resource is gone, and its newest entry is not final.
	Unfinished Problem = "unfinished"
)

// Finding is one thing that is wrong, and where.
type Finding struct {
	Problem   Problem `json:"problem"`
	Table     string  `json:"table,omitempty"`
	ID        string  `json:"id,omitempty"`
	Cluster   string  `json:"cluster,omitempty"`
	Namespace string  `json:"namespace,omitempty"`
	Name      string  `json:"name,omitempty"`
	UID       string  `json:"uid,omitempty"`
	Sequence  int64   `json:"sequence,omitempty"`
	Detail    string  `json:"detail"`
	// Seen is a hash of what was seen there: of a chain, everything up to the finding.
	Seen string `json:"seen,omitempty"`
	// Acknowledged is set for a finding that somebody acknowledged as it is.
	Acknowledged *Acknowledged `json:"acknowledged,omitempty"`

	state digest
}

// Verdict is what a Report comes to.
type Verdict string

const (
	// Whole: there is no finding, and everything was looked at that Run was given.
	Whole Verdict = "whole"
	// OnlyAcknowledged: as Whole, but for findings that were acknowledged.
	OnlyAcknowledged Verdict = "acknowledged"
	// NotWhole: there are findings that nobody acknowledged.
	NotWhole Verdict = "not-whole"
	// Unknown: there is no such finding, but a part could not be looked at: see NotCompared.
	Unknown Verdict = "unknown"
)

// Report counts what was looked at.
type Report struct {
	Verdict Verdict `json:"verdict"`
	// Intact: there is no finding, acknowledged or not.
	Intact bool `json:"intact"`
	// Findings that nobody acknowledged, and Acknowledged ones.
	Findings     int `json:"findings"`
	Acknowledged int `json:"acknowledged"`
	// Unmatched are acknowledgements of which there is no finding.
	Unmatched []Unmatched `json:"unmatched,omitempty"`
	Chains    int         `json:"chains"`
	// Entries that are in chains, as rows; Posted are rows without a chain.
	Entries int `json:"entries"`
	Posted  int `json:"posted"`
	// DeadLetters that were not redriven, which count as present.
	DeadLetters int `json:"deadLetters"`
	// Unfinished chains, whose newest entry is not final. Unchecked are those of them whose resource was not looked for.
	Unfinished int `json:"unfinished"`
	Unchecked  int `json:"unchecked"`
	// NotCompared are the kinds of entries, and the clusters, whose live resources were not looked at, though a cluster was given: nobody knows where their chains should end. A cluster is
	// named only if it has records without an end.
	NotCompared []string `json:"notCompared,omitempty"`
	// Live is the number of live resources with an outbox; 0 without a cluster.
	Live int `json:"live"`
	// Notes say what was not looked at, and why.
	Notes []string `json:"notes,omitempty"`
}

// Trail is where the rows are: a postgres.Store.
type Trail interface {
	// Read hands over every entry in the order of the chains, and then what is in none; with a uid, that chain only.
	Read(ctx context.Context, uid string, visit func(*postgres.Stored) error) error
	// Compare holds the columns of a row against what its entry makes.
	Compare(want models.Row, columns string, recordOnly bool) ([]postgres.Difference, error)
	// Incomplete returns the remediations whose trail lacks what they say.
	Incomplete(ctx context.Context) ([]postgres.Incomplete, error)
	// Clusters returns the clusters whose resources have rows, or only the one that is asked for if it is one of them.
	Clusters(ctx context.Context, asked string) ([]string, error)
}

// Options of Run.
type Options struct {
	// Cluster is the name of live's cluster in the rows (source_cluster): the manager's --cluster-name.
	Cluster string
	// OtherClusters are those whose rows are in the same database, and which are verified by themselves: their resources are not looked for here.
	OtherClusters []string
	// Acknowledged are findings that somebody looked into (ReadAcknowledged).
	Acknowledged []Acknowledgement
}

// Run checks everything, and hands each finding to found as it comes, acknowledged ones too. live may be nil: then only the rows are checked. An error means that the check could not be finished.
func Run(ctx context.Context, s Trail, live Live, options Options, found func(Finding)) (Report, error) {
	v := &verifier{store: s, live: live, options: options, found: found, unnamed: map[string]bool{}, otherClusters: map[string]int{}, kinds: map[string]int{}, notCompared: map[string]bool{},
		acknowledged: newAcknowledgements(options.Acknowledged)}
	if live != nil {
		var err error
		if v.expected, v.report.Notes, err = live.List(ctx); err != nil {
			return v.report, fmt.Errorf("verify: list live resources: %w", err)
		}
		v.report.Live = len(v.expected)
		if err := v.noteCluster(ctx); err != nil {
			return v.report, fmt.Errorf("verify: %w", err)
		}
	}
	if err := s.Read(ctx, "", v.visit); err != nil {
		return v.report, fmt.Errorf("verify: %w", err)
	}
	v.endChain()
	v.unseen()
	if err := v.recheck(ctx); err != nil {
		return v.report, fmt.Errorf("verify: %w", err)
	}
	if err := v.remediations(ctx); err != nil {
		return v.report, fmt.Errorf("verify: %w", err)
	}
	v.explainUnchecked()
	v.report.Intact = v.report.Findings == 0 && v.report.Acknowledged == 0
	for cluster := range v.otherClusters {
		if !slices.Contains(v.options.OtherClusters, cluster) {
			v.notCompared[fmt.Sprintf("cluster %q", cluster)] = true
		}
	}
	v.report.NotCompared = slices.Sorted(maps.Keys(v.notCompared))
	v.explainUnmatched()
	v.report.Verdict = Whole
	switch {
	case v.report.Findings > 0:
		v.report.Verdict = NotWhole
	case len(v.report.NotCompared) > 0:
		v.report.Verdict = Unknown
	case v.report.Acknowledged > 0:
		v.report.Verdict = OnlyAcknowledged
	}
	return v.report, nil
}

// verifier is one Run.
type verifier struct {
	store   Trail
	live    Live
	options Options
	found   func(Finding)
	report  Report

	// expected are the live resources by uid. One that was met as a chain is marked.
	expected map[string]*Resource
	chain    *chain
	// suspects are looked at again.
	suspects []suspect
	// otherClusters and kinds count the unfinished chains that were not looked for, by the reason.
	otherClusters, kinds map[string]int
	// unnamed are the clusters of live resources' rows, where none was named.
	unnamed map[string]bool
	// notCompared are the kinds of entries that the live cluster cannot show.
	notCompared  map[string]bool
	acknowledged *acknowledgements
}

// noteCluster says that no row has the name of the cluster, where others have rows: every live resource is then a finding. Most likely the name is wrong. If it is not, somebody has renamed or removed
// all of the rows.
func (v *verifier) noteCluster(ctx context.Context) error {
	name := v.options.Cluster
	if name == "" {
		return nil
	}
	clusters, err := v.store.Clusters(ctx, name)
	if err != nil || len(clusters) == 0 || slices.Contains(clusters, name) {
		return err
	}
	for i, other := range clusters {
		if clusters[i] = strconv.Quote(other); other == "" {
			clusters[i] = "a manager without --cluster-name"
		}
	}
	v.report.Notes = append(v.report.Notes, fmt.Sprintf("no row is of cluster %q; the rows are of %s. If --cluster-name is wrong, ignore the findings and set the name that the manager of this cluster has",
		name, strings.Join(clusters, ", ")))
	return nil
}

func (v *verifier) tell(f Finding) {
	f.Seen = f.seen()
	if f.Acknowledged = v.acknowledged.of(&f); f.Acknowledged != nil {
		v.report.Acknowledged++
	} else {
		v.report.Findings++
	}
	v.found(f)
}

func (v *verifier) visit(e *postgres.Stored) error {
	placed := e.SourceUID != "" && e.HasSequence
	switch {
	case e.DeadLetter():
		if !e.Redriven {
			v.report.DeadLetters++
		}
	case placed:
		v.report.Entries++
	default:
		v.report.Posted++
	}
	switch {
	case placed && e.Sequence < 1:
		v.tell(misplaced(e, "sequence is %d, expected at least 1", e.Sequence))
		return nil
	case !placed && !e.DeadLetter() && e.HasSequence: // a source_uid alone is an origin that a relay has claimed for a posted row
		v.tell(misplaced(e, "sequence is %d but source_uid is empty, expected both, or neither for a row posted over REST", e.Sequence))
		return nil
	case !placed:
		return v.posted(e)
	}
	if v.chain == nil || v.chain.uid != e.SourceUID {
		v.endChain()
		v.report.Chains++
		v.chain = &chain{v: v, uid: e.SourceUID, expected: v.expected[e.SourceUID]}
	}
	return v.chain.add(e)
}

// misplaced is a row in no place that a chain has.
func misplaced(e *postgres.Stored, format string, args ...any) Finding {
	return Finding{Problem: Reordered, Table: e.Table, ID: e.ID, Cluster: e.SourceCluster, Namespace: e.SourceNamespace, Name: e.SourceName, UID: e.SourceUID, Sequence: e.Sequence,
		Detail: fmt.Sprintf(format, args...), state: unplaced(e).with(e.Columns)}
}

// unplaced is what is seen of an entry without a chain.
func unplaced(e *postgres.Stored) digest { return digest{}.with(e.Entry, string(e.EntryHash)) }

var _ Trail = (*postgres.Store)(nil)

// posted checks a row without a chain: its record against its columns.
func (v *verifier) posted(e *postgres.Stored) error {
	if e.DeadLetter() {
		return nil
	}
	if len(e.EntryHash) > 0 {
		v.tell(misplaced(e, "the row has entry_hash but no source_uid or no sequence; it was removed from its chain"))
	}
	at := Finding{Problem: Changed, Table: e.Table, ID: e.ID, state: unplaced(e)}
	want, err := models.ProjectPosted(e.Table, []byte(e.Entry))
	if err != nil {
		at.Detail = "the posted record cannot be read: " + err.Error()
		v.tell(at.and(e.Columns)) // nobody compares them
		return nil                //nolint:nilerr // that is a finding
	}
	different, err := v.store.Compare(want, e.Columns, true)
	if err != nil {
		return err
	}
	for _, d := range different {
		at.Problem, at.Detail = Column, d.String()
		v.tell(at.and(d.Column, d.Have))
	}
	return nil
}

// explainUnmatched looks for acknowledgements without a finding. What needs the live resource is found only where that was looked at.
func (v *verifier) explainUnmatched() {
	unmatched, unknown := v.acknowledged.unmatched(func(p Place) bool {
		needsLive := p.Problem == Unfinished || p.Problem == Invented || p.Problem == Diverged || p.Problem == Missing
		return needsLive && (v.live == nil || p.Cluster != v.options.Cluster || len(v.report.NotCompared) > 0)
	})
	v.report.Unmatched = unmatched
	if unknown > 0 {
		v.report.Notes = append(v.report.Notes, fmt.Sprintf("%d acknowledged findings depend on live resources, and not all of them were checked", unknown))
	}
}

func (v *verifier) explainUnchecked() {
	if v.live == nil {
		if v.report.Unchecked > 0 {
			v.report.Notes = append(v.report.Notes, "no cluster was given, so rows were not compared with live resources (--kubeconfig)")
		}
		return
	}
	for _, cluster := range slices.Sorted(maps.Keys(v.otherClusters)) {
		v.report.Notes = append(v.report.Notes, fmt.Sprintf("%d open records belong to cluster %q, not %q, and were not checked (set --cluster-name, or --other-clusters %s if it is verified separately)",
			v.otherClusters[cluster], cluster, v.options.Cluster, word(cluster)))
	}
	for _, cluster := range slices.Sorted(maps.Keys(v.unnamed)) {
		v.report.Notes = append(v.report.Notes, fmt.Sprintf("rows of live resources have cluster %q (set --cluster-name %s)", cluster, word(cluster)))
	}
	for _, kind := range slices.Sorted(maps.Keys(v.kinds)) {
		v.report.Notes = append(v.report.Notes, fmt.Sprintf("%d open records have entries of kind %q, whose resource type is unknown (set --resource %s=RESOURCE.VERSION.GROUP)", v.kinds[kind], kind, word(kind)))
	}
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/@-]*$`)

// word is a text as one word of a shell. What is suggested is typed, and whoever writes rows chooses the names in it.
func word(text string) string {
	if plainWord.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
