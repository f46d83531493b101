package reportsapi

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/holdfast-dev/holdfast/internal/serving"
	"github.com/holdfast-dev/holdfast/internal/serving/httpapi"
	"github.com/holdfast-dev/holdfast/rar"
)

// Narrator writes narratives with a language model. Package internal/narrator has one.
type Narrator interface {
	// Cached is the narrative of the report that a key stands for, nil without one.
	Cached(key string) *rar.Narrative
	// Generate returns one within Timeout, whatever happens.
	Generate(ctx context.Context, key string, report *rar.Report) *rar.Narrative
	Timeout() time.Duration
}

// verbNarrate is the right to spend tokens on a language model.
const verbNarrate = "narrate"

// notAllowed is Narrative.Reason of a report in a batch, in whose namespace the caller may not narrate.
const notAllowed = "not-allowed"

// narrate puts the narrative of a model into a report that has that of the rules: the one that is known, or a new one. Without the right to a new one it is refused.
func (s *Server) narrate(r *request, in *rar.Input, report *rar.Report, w wanted) *httpapi.Problem {
	if s.config.Narrator == nil || w.narrative == narrativeNone {
		return nil
	}
	if w.narrative == narrativeGenerate {
		if refused := s.mayNarrate(r, in); refused != nil {
			return refused
		}
	}
	// What the reader sees of the rows decides the key, so nobody gets a narrative of rows that they may not read.
	key, err := tagOf(in, report, "narrative")
	if err != nil {
		return s.failed(err)
	}
	told := s.config.Narrator.Cached(key)
	if told == nil && w.narrative == narrativeGenerate {
		told = s.config.Narrator.Generate(r.Context(), key, report)
	}
	if told != nil {
		report.Narrative = *told
	}
	return nil
}

// mayNarrate refuses a caller who may read a report but spend no tokens on it. They know that it is there, so this tells them nothing.
func (s *Server) mayNarrate(r *request, in *rar.Input) *httpapi.Problem {
	caller, refused := s.narrators(r, namespacesOf(in))
	if refused != nil || caller.Readable.Everything {
		return refused
	}
	for _, row := range in.Rows {
		h := row.Head()
		if _, ok := caller.Readable.Since[h.SourceNamespace]; !ok || h.SourceCluster != caller.Readable.Cluster {
			return mayNotNarrate()
		}
	}
	return nil
}

// narrators asks where a caller has the verb.
func (s *Server) narrators(r *request, namespaces []string) (Caller, *httpapi.Problem) {
	caller, err := s.config.Authorizer.Authorize(r.Context(), serving.Bearer(r.Request), verbNarrate, namespaces)
	switch {
	case errors.Is(err, serving.ErrUnauthenticated), errors.Is(err, ErrManyNamespaces):
		return Caller{}, mayNotNarrate()
	case err != nil:
		return Caller{}, httpapi.NewProblem(http.StatusServiceUnavailable, "%s", serving.ErrUnavailable).Later(httpapi.DatabaseAway)
	}
	return caller, nil
}

func mayNotNarrate() *httpapi.Problem {
	return httpapi.NewProblem(http.StatusForbidden, "narrative=generate takes the right to narrate remediationreports.holdfast.dev in the namespace of every row of the report; "+
		"ask for a binding to the ClusterRole holdfast-report-narrator, or use narrative=cached")
}

// namespacesOf are those of the rows. It is not nil: nil asks about all that there are.
func namespacesOf(in *rar.Input) []string {
	all := []string{}
	for _, row := range in.Rows {
		if ns := row.Head().SourceNamespace; ns != "" && !slices.Contains(all, ns) {
			all = append(all, ns)
		}
	}
	return all
}

// extendNarrated gives a narrative its time before the answer begins.
func (s *Server) extendNarrated(x *httpapi.Exchange, w wanted) {
	if s.config.Narrator != nil && w.narrative == narrativeGenerate {
		l := s.config.Limits
		_ = http.NewResponseController(x).SetWriteDeadline(time.Now().Add(l.Wait + l.ReadTimeout + s.config.Narrator.Timeout() + l.WriteTimeout)) // a test's recorder has none
	}
}
