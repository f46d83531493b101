package reportsapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/holdfast-dev/holdfast/internal/serving/httpapi"
	"github.com/holdfast-dev/holdfast/postgres"
	"github.com/holdfast-dev/holdfast/rar"
)

// maxTrendWindow is how long a window of trends may be: a leap year.
const maxTrendWindow = 366 * 24 * time.Hour

// trendAsked is what trends are asked for.
func (s *Server) trendAsked(r *request) postgres.Trend {
	start, end := r.window()
	return s.trendOf(r, start, end)
}

// trendOf is a window, with the filters of a request.
func (s *Server) trendOf(r *request, start, end time.Time) postgres.Trend {
	t := postgres.Trend{AsOf: s.now(), Namespaces: r.namespaces, Alert: r.text("alert"), Workflow: r.text("workflow"), Patience: rar.RecurrenceWindow, Groups: rar.MaxTrendGroups}
	t.Start, t.End = start, end
	if length := t.End.Sub(t.Start); !t.Start.IsZero() && !t.End.IsZero() && length > maxTrendWindow {
		r.fault("end", "is %s, expected at most %d days after start (%s)", t.End.Format(time.RFC3339), int(maxTrendWindow.Hours()/24), t.Start.Format(time.RFC3339))
	}
	t.Bucket = rar.TrendBucket(t.Start, t.End)
	return t
}

// trends answers with what the remediations of a window show together.
func (s *Server) trends(x *httpapi.Exchange, r *request) *httpapi.Problem {
	asked := s.trendAsked(r)
	f, refused := formatOf(r, trendFormats)
	if bad := r.refused(); bad != nil {
		return bad
	}
	if refused != nil {
		return refused
	}
	in, refused := s.trendsInput(r, asked)
	if refused != nil {
		return refused
	}
	trends := rar.BuildTrends(in)
	if unchanged(x, r, tagOfTrends(trends, f.name)) {
		return nil
	}
	var text bytes.Buffer
	if err := rar.RenderTrends(&text, trends, f.name); err != nil {
		return s.failed(err)
	}
	s.write(x, http.StatusOK, f.contentType, text.Bytes())
	return nil
}

// tagOfTrends names the content of trends, without the instant.
func tagOfTrends(t *rar.Trends, format string) string {
	timeless := *t
	timeless.AsOf.Time = time.Time{}
	text, err := json.Marshal(&timeless)
	if err != nil { // it is what the answer is made of
		panic(err)
	}
	return tagOfContent(format, string(text))
}

// trendsInput reads what trends are made of, in one snapshot. They keep a processor of the database busy for long, so few are read at once.
func (s *Server) trendsInput(r *request, t postgres.Trend) (*rar.TrendsInput, *httpapi.Problem) {
	wait, cancel := context.WithTimeout(r.Context(), s.config.Limits.Wait)
	defer cancel()
	if err := r.own.trends.Acquire(wait, 1); err != nil {
		return nil, s.shed(shedShare, "you have trends under way; wait for them")
	}
	defer r.own.trends.Release(1)
	if err := s.gates.trends.Acquire(wait, 1); err != nil {
		return nil, s.shed(shedTrends, "the service is at its limit of concurrent reads of trends")
	}
	defer s.gates.trends.Release(1)
	var rows *postgres.TrendRows
	refused := s.read(r, func(ctx context.Context, q *postgres.Snapshot) (err error) {
		rows, err = q.Trends(ctx, t)
		if err != nil && r.Context().Err() == nil && (postgres.TookTooLong(err) || errors.Is(ctx.Err(), context.DeadlineExceeded)) {
			return &refusal{s.tooMuch(t)}
		}
		return err
	})
	if refused != nil {
		return nil, refused
	}
	return trendsInputOf(rows, t, r.caller.Readable.Everything), nil
}

// tooMuch says that a window has more rows than can be read in time.
func (s *Server) tooMuch(t postgres.Trend) *httpapi.Problem {
	s.log.Info("Trends timed out", "start", t.Start, "end", t.End)
	refused := refusedFor("end", "is %s, which makes a window of %.1f days: its rows could not be read within %s; expected a shorter window, or one namespace, alert or workflow",
		t.End.Format(time.RFC3339), t.End.Sub(t.Start).Hours()/24, s.config.Limits.ReadTimeout)
	refused.Status = http.StatusUnprocessableEntity
	return refused
}

func trendsInputOf(rows *postgres.TrendRows, t postgres.Trend, everything bool) *rar.TrendsInput {
	return &rar.TrendsInput{
		Start: t.Start, End: t.End, AsOf: t.AsOf, Filters: rar.TrendFilters{Namespaces: t.Namespaces, Alert: t.Alert, Workflow: t.Workflow}, Everything: everything, Bucket: t.Bucket,
		Outcomes:    each(rows.Outcomes, func(r postgres.TrendOutcome) rar.TrendOutcomeRow { return rar.TrendOutcomeRow(r) }),
		Received:    each(rows.Received, func(r postgres.TrendReceived) rar.TrendReceivedRow { return rar.TrendReceivedRow(r) }),
		Repairs:     each(rows.Repairs, func(r postgres.TrendRepair) rar.TrendRepairRow { return rar.TrendRepairRow(r) }),
		Spread:      each(rows.Spread, func(r postgres.TrendSpread) rar.TrendSpreadRow { return rar.TrendSpreadRow(r) }),
		Days:        each(rows.Days, func(r postgres.TrendDay) rar.TrendDayRow { return rar.TrendDayRow(r) }),
		Bottlenecks: each(rows.Bottlenecks, func(r postgres.TrendBottleneck) rar.TrendBottleneckRow { return rar.TrendBottleneckRow(r) }),
		Alerts: each(rows.Alerts, func(r postgres.TrendAlert) rar.TrendAlertRow {
			return rar.TrendAlertRow{Alert: r.Alert, TrendLossRow: rar.TrendLossRow(r.TrendLoss)}
		}),
		Targets: each(rows.Targets, func(r postgres.TrendTarget) rar.TrendTargetRow {
			return rar.TrendTargetRow{Cluster: r.Cluster, Namespace: r.Namespace, Kind: r.Kind, Name: r.Name, TrendLossRow: rar.TrendLossRow(r.TrendLoss)}
		}),
		Held:           each(rows.Held, func(r postgres.TrendHeld) rar.TrendHeldRow { return rar.TrendHeldRow(r) }),
		Recurrent:      each(rows.Recurrent, func(r postgres.TrendRecurrent) rar.TrendRecurrentRow { return rar.TrendRecurrentRow(r) }),
		Workflows:      each(rows.Workflows, func(r postgres.TrendWorkflow) rar.TrendWorkflowRow { return rar.TrendWorkflowRow(r) }),
		Bins:           each(rows.Bins, func(r postgres.TrendBin) rar.TrendBinRow { return rar.TrendBinRow(r) }),
		Bands:          each(rows.Bands, func(r postgres.TrendBand) rar.TrendBandRow { return rar.TrendBandRow(r) }),
		Approvals:      each(rows.Approvals, func(r postgres.TrendApproval) rar.TrendApprovalRow { return rar.TrendApprovalRow(r) }),
		Deliveries:     each(rows.Deliveries, func(r postgres.TrendDelivery) rar.TrendDeliveryRow { return rar.TrendDeliveryRow(r) }),
		RemediationIDs: rows.RemediationIDs,
	}
}

func each[From, To any](all []From, convert func(From) To) []To {
	to := make([]To, len(all))
	for i, one := range all {
		to[i] = convert(one)
	}
	return to
}
