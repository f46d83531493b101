package oracle

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// Class is what is wrong.
type Class string

// The classes of differences. Each has a column in the report.
const (
	Lost       Class = "lost"         // appended, and neither a row nor a dead letter
	Doubled    Class = "doubled"      // stored more than once
	OutOfOrder Class = "out of order" // stored, or standing in the resource, with another sequence
	ChainBreak Class = "chain break"  // the hash before is another
	Changed    Class = "changed"      // the content is not what was appended
	Foreign    Class = "foreign"      // stored, and appended by no resource that was ever seen
	Undrained  Class = "undrained"    // a resource that still waits
	Gap        Class = "gap"          // a time in which the oracle could not see
)

// Difference is one thing that is wrong.
type Difference struct {
	Class     Class  `json:"class"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
	UID       string `json:"uid,omitempty"`
	Sequence  int64  `json:"sequence,omitempty"`
	ID        string `json:"id,omitempty"`
	Detail    string `json:"detail"`
}

func (d Difference) String() string {
	return fmt.Sprintf("%s: %s %s/%s (uid %s) entry %d: %s", d.Class, d.Kind, d.Namespace, d.Name, d.UID, d.Sequence, d.Detail)
}

// Counts are the numbers of one kind. Rows and dead letters are those of resources that were seen; dead letters that became rows later are not counted.
type Counts struct {
	Kind        string `json:"kind"`
	Resources   int    `json:"resources"`
	Appended    int    `json:"entriesAppended"`
	Rows        int    `json:"rows"`
	DeadLetters int    `json:"deadLetters"`
	Lost        int    `json:"lost"`
	Doubled     int    `json:"doubled"`
	OutOfOrder  int    `json:"outOfOrder"`
	ChainBreaks int    `json:"chainBreaks"`
	Changed     int    `json:"changed"`
	Foreign     int    `json:"foreign"`
	Undrained   int    `json:"undrained"`
	Gaps        int    `json:"gaps"`
	// Unseen are entries whose content the oracle never saw, so that only their ids, texts and chain are held.
	Unseen int `json:"unseen"`
}

// Report is the oracle's answer.
type Report struct {
	Kinds       []Counts     `json:"kinds"`
	Total       Counts       `json:"total"`
	Differences []Difference `json:"differences"`
}

// Clean reports whether every entry is stored exactly once, unaltered and in its place, and nothing waits any more.
func (r Report) Clean() bool { return len(r.Differences) == 0 }

// Without returns the report without differences that are expected: their counts too.
func (r Report) Without(expected func(Difference) bool) Report {
	for i := range r.Kinds {
		r.Kinds[i].leaveOut(r.Differences, func(d Difference) bool { return d.Kind == r.Kinds[i].Kind && expected(d) })
	}
	r.Total.leaveOut(r.Differences, expected)
	r.Differences = slices.DeleteFunc(r.Differences, expected)
	return r
}

func (c *Counts) leaveOut(of []Difference, expected func(Difference) bool) {
	for _, d := range of {
		if expected(d) {
			*c.of(d.Class)--
		}
	}
}

// Write prints the counts as a table, and each difference in a line of its own.
func (r Report) Write(to io.Writer) error {
	t := tabwriter.NewWriter(to, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "kind\tresources\tappended\trows\tdead letters\tlost\tdoubled\tout of order\tchain breaks\tchanged\tforeign\tundrained\tgaps\tunseen\t")
	for _, c := range append(append([]Counts{}, r.Kinds...), r.Total) {
		fmt.Fprint(t, c.Kind)
		for _, n := range c.numbers() {
			fmt.Fprintf(t, "\t%d", *n)
		}
		fmt.Fprintln(t, "\t")
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, d := range r.Differences {
		if _, err := fmt.Fprintln(to, d); err != nil {
			return err
		}
	}
	return nil
}

// numbers are the counts in the order of the table's columns.
func (c *Counts) numbers() []*int {
	return []*int{
		&c.Resources, &c.Appended, &c.Rows, &c.DeadLetters, &c.Lost, &c.Doubled, &c.OutOfOrder, &c.ChainBreaks, &c.Changed, &c.Foreign, &c.Undrained, &c.Gaps, &c.Unseen,
	}
}

// Add adds the numbers of another count.
func (c *Counts) Add(other Counts) {
	theirs := other.numbers()
	for i, n := range c.numbers() {
		*n += *theirs[i]
	}
}

func (c *Counts) of(what Class) *int {
	switch what {
	case Lost:
		return &c.Lost
	case Doubled:
		return &c.Doubled
	case OutOfOrder:
		return &c.OutOfOrder
	case ChainBreak:
		return &c.ChainBreaks
	case Changed:
		return &c.Changed
	case Foreign:
		return &c.Foreign
	case Undrained:
		return &c.Undrained
	}
	return &c.Gaps
}
