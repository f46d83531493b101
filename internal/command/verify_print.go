package command

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/holdfast-dev/holdfast/internal/verify"
)

// readAcknowledged reads --acknowledged; "" is none.
func readAcknowledged(path string) ([]verify.Acknowledgement, error) {
	if path == "" {
		return nil, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("--acknowledged: %w", err)
	}
	defer file.Close()
	all, err := verify.ReadAcknowledged(file, time.Now())
	if err != nil {
		return nil, fmt.Errorf("--acknowledged %s: %w", path, err)
	}
	return all, nil
}

// printer prints findings as they come, and the report.
type printer struct {
	finding func(verify.Finding)
	report  func(verify.Report) error
}

func (f *verifyFlags) printer(to io.Writer) (printer, error) {
	switch {
	case f.template && f.output == AsJSON:
		return printer{}, errors.New("--acknowledgement-template prints YAML only; remove --output json")
	case f.template:
		return templateTo(to, f.program.called("holdfast verify")), nil
	case f.output == AsJSON:
		return jsonTo(to), nil
	}
	var apart []verify.Finding
	return printer{
		finding: func(x verify.Finding) {
			if x.Acknowledged != nil {
				apart = append(apart, x)
				return
			}
			fmt.Fprintln(to, findingLine(x))
		},
		report: func(r verify.Report) error {
			printAcknowledged(to, apart, r.Unmatched)
			return printReport(to, r)
		},
	}, nil
}

func jsonTo(to io.Writer) printer {
	answer := struct {
		verify.Report
		Findings     []verify.Finding `json:"findings"`
		Acknowledged []verify.Finding `json:"acknowledged,omitempty"`
	}{Findings: []verify.Finding{}}
	return printer{
		finding: func(x verify.Finding) {
			if x.Acknowledged != nil {
				answer.Acknowledged = append(answer.Acknowledged, x)
				return
			}
			answer.Findings = append(answer.Findings, x)
		},
		report: func(r verify.Report) error {
			answer.Report = r
			return PrintJSON(to, answer)
		},
	}
}

// templateTo prints a file for --acknowledged. by and reason are left to whoever looks into the findings: as it is, the file is refused.
func templateTo(to io.Writer, command string) printer {
	now := time.Now().UTC().Truncate(time.Second)
	fmt.Fprintf(to, "# Findings of `%s`, %s. Investigate each one: fill in by and reason, or remove it.\nacknowledged:\n", command, now.Format(time.RFC3339))
	var failed error
	return printer{
		finding: func(x verify.Finding) {
			if x.Acknowledged != nil {
				return
			}
			text, err := yaml.Marshal([]verify.Acknowledgement{{Place: x.Place(), Seen: x.Seen, Acknowledged: verify.Acknowledged{Time: now}}})
			failed = errors.Join(failed, err)
			fmt.Fprintf(to, "# %s\n%s", plain(x.Detail), text)
		},
		report: func(verify.Report) error { return failed },
	}
}

func printAcknowledged(to io.Writer, apart []verify.Finding, unmatched []verify.Unmatched) {
	if len(apart) > 0 {
		fmt.Fprintln(to, "Acknowledged:")
	}
	for _, x := range apart {
		fmt.Fprintf(to, "  %s\n    %s, %s: %s\n", findingLine(x), plain(x.Acknowledged.By), x.Acknowledged.Time.Format(time.RFC3339), plain(x.Acknowledged.Reason))
	}
	if len(unmatched) > 0 {
		fmt.Fprintln(to, "Acknowledgements without a finding:")
	}
	for _, u := range unmatched {
		at := verify.Finding{Problem: u.Problem, Table: u.Table, ID: u.ID, Namespace: u.Namespace, Name: u.Name, UID: u.UID, Sequence: u.Sequence, Detail: u.Why}
		fmt.Fprintf(to, "  %s\n", findingLine(at))
	}
}

func findingLine(x verify.Finding) string {
	var where []string
	if x.Name != "" {
		where = append(where, plain(strings.TrimPrefix(x.Namespace+"/"+x.Name, "/")))
	}
	if x.UID != "" {
		where = append(where, fmt.Sprintf("(%s) entry %d", x.UID, x.Sequence))
	}
	if x.Table != "" {
		where = append(where, "in "+x.Table, x.ID)
	}
	return fmt.Sprintf("%-11s  %s: %s", x.Problem, strings.Join(where, " "), plain(x.Detail))
}

func printReport(to io.Writer, r verify.Report) error {
	verdict := "The trail is whole"
	switch {
	case r.Verdict == verify.OnlyAcknowledged:
		verdict = "The trail is whole, except for " + counted(r.Acknowledged, "acknowledged finding")
	case r.Verdict == verify.NotWhole:
		verdict = "The trail is NOT whole: " + counted(r.Findings, "finding")
	case r.Verdict == verify.Unknown:
		verdict = "The rows are whole, but live resources COULD NOT BE CHECKED"
	case r.Live == 0 && r.Unchecked > 0:
		verdict = "The rows are whole"
	}
	fmt.Fprintf(to, "%s. Checked %s in %s", verdict, counted(r.Entries, "row"), counted(r.Chains, "chain"))
	for _, more := range []struct {
		n    int
		what string
	}{{r.Posted, "posted row"}, {r.DeadLetters, "dead letter"}, {r.Live, "live resource"}, {r.Unfinished, "open record"}} {
		if more.n > 0 {
			fmt.Fprintf(to, ", %s", counted(more.n, more.what))
		}
	}
	_, err := fmt.Fprintln(to, ".")
	for _, note := range r.Notes {
		fmt.Fprintln(to, "Note:", plain(note))
	}
	return err
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
