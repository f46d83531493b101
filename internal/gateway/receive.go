package gateway

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"

	"github.com/holdfast-dev/holdfast/internal/serving"
	"github.com/holdfast-dev/holdfast/internal/serving/httpapi"
	"github.com/holdfast-dev/holdfast/outbox"
)

// receive answers one message.
func (s *Server) receive(x *httpapi.Exchange, r *http.Request) {
	if refused := s.admit(r); refused != nil {
		refused.Write(x)
		return
	}
	if !s.messages.TryAcquire(1) {
		s.shed(shedRequests, "the gateway is at its limit of concurrent messages").Write(x)
		return
	}
	defer s.messages.Release(1)
	limit := s.config.Limits.BodyBytes
	weight := limit
	if r.ContentLength >= 0 && r.Header.Get("Content-Encoding") == "" {
		weight = min(weight, r.ContentLength)
	}
	if !s.bytes.TryAcquire(weight) {
		s.shed(shedBytes, "the gateway is at its limit of bytes in memory").Write(x)
		return
	}
	defer s.bytes.Release(weight)
	body, refused := bodyOf(x, r, limit)
	if refused == nil {
		var m *message
		if m, refused = readMessage(body); refused == nil {
			s.answer(x, r, m)
			return
		}
	}
	refused.Write(x)
}

// admit authenticates, and refuses everybody until the ledger is complete.
func (s *Server) admit(r *http.Request) *httpapi.Problem {
	if s.config.Tokens != nil {
		switch err := s.config.Tokens.check(serving.Bearer(r)); {
		case errors.Is(err, errToken):
			return httpapi.NewProblem(http.StatusUnauthorized, "%s", err).With("WWW-Authenticate", "Bearer")
		case err != nil:
			s.log.Error(err, "Tokens cannot be read")
			return httpapi.NewProblem(http.StatusServiceUnavailable, "the tokens cannot be read now").Later(httpapi.NeedsPerson)
		}
	}
	if !s.ledger.synced() {
		return s.shed(shedNotReady, "the requests of the cluster are not known yet")
	}
	return nil
}

func (s *Server) shed(reason, detail string) *httpapi.Problem {
	s.metrics.shed.WithLabelValues(reason).Inc()
	return httpapi.NewProblem(http.StatusServiceUnavailable, "%s", detail).Later(httpapi.Overload)
}

// answer works on all alerts of a message. If it does not know what became of one of them, Alertmanager gets 503 and sends all again.
func (s *Server) answer(x *httpapi.Exchange, r *http.Request, m *message) {
	ctx, cancel := context.WithTimeout(r.Context(), s.config.Limits.Timeout)
	defer cancel()
	b := &batch{server: s}
	answer := &Answer{Alerts: b.takeAll(ctx, m.Alerts), TruncatedAlerts: m.TruncatedAlerts}
	s.metrics.count(answer)
	if m.TruncatedAlerts > 0 {
		s.log.Info("Alertmanager left alerts out of a message", "receiver", outbox.Bound(m.Receiver, 100), "group", outbox.Bound(m.GroupKey, 300), "truncatedAlerts", m.TruncatedAlerts)
	}
	x.Noted = append(x.Noted, summary(answer)...)
	if slices.ContainsFunc(answer.Alerts, func(o Outcome) bool { return o.Result == again }) {
		x.Header().Set("Retry-After", strconv.Itoa(int(httpapi.DatabaseAway.Seconds())))
		httpapi.WriteJSON(x, http.StatusServiceUnavailable, "application/json", answer)
		return
	}
	httpapi.WriteJSON(x, http.StatusOK, "application/json", answer)
}

// summary is how many alerts had which result, for the access log, with one example of each that made no request.
func summary(answer *Answer) []any {
	counts, example := map[string]int{}, map[string]string{}
	for _, o := range answer.Alerts {
		counts[o.Result]++
		if _, there := example[o.Result]; !there && o.Detail != "" {
			example[o.Result] = outbox.Bound(o.Detail, 500)
		}
	}
	noted := []any{"alerts", len(answer.Alerts), "results", counts}
	if len(example) > 0 {
		noted = append(noted, "examples", example)
	}
	return noted
}
