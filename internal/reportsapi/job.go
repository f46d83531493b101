package reportsapi

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/holdfast-dev/holdfast/internal/serving"
	"github.com/holdfast-dev/holdfast/internal/serving/httpapi"
	"github.com/holdfast-dev/holdfast/postgres"
	"github.com/holdfast-dev/holdfast/rar"
)

// keep adds the result of one id.
func (j *job) keep(r *request, id string, item any, refused *httpapi.Problem) *httpapi.Problem {
	if r.Context().Err() != nil {
		return ended()
	}
	report, _ := item.(*rar.Report)
	line := lineOf(id, report, refused)
	text, err := json.Marshal(line)
	if err != nil {
		return httpapi.NewProblem(http.StatusInternalServerError, "a result could not be written")
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case len(j.results) >= maxBatch:
		return httpapi.NewProblem(http.StatusUnprocessableEntity, "there are more than %d remediations; ask for a shorter window", maxBatch)
	case j.bytes+len(text) > maxJobBytes:
		return httpapi.NewProblem(http.StatusUnprocessableEntity, "the results have more than %d bytes; ask for fewer", maxJobBytes)
	}
	j.bytes += len(text)
	j.results = append(j.results, text)
	j.counts.count(line.Status)
	return nil
}

// finish sets how it ended, unless it was cancelled.
func (j *job) finish(ctx context.Context, refused *httpapi.Problem) {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.state != jobRunning:
	case ctx.Err() != nil:
		j.state, j.problem = jobFailed, httpapi.NewProblem(http.StatusServiceUnavailable, "it took longer than %s, or the service stopped; ask for fewer", jobLasts)
	case refused != nil:
		j.state, j.problem = jobFailed, refused
	default:
		j.state = jobDone
	}
}

func (j *job) current() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.state
}

func (j *job) wasRead() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.read
}

// view is the job with its results from a place on.
func (j *job) view(after int) *Job {
	j.mu.Lock()
	defer j.mu.Unlock()
	from := min(after, len(j.results))
	next := min(from+jobPage, len(j.results))
	j.read = j.read || j.state != jobRunning && next == len(j.results)
	return &Job{
		Job: j.id, State: j.state, CreatedAt: j.created.UTC(), ExpiresAt: j.created.Add(jobLasts).UTC(), Counts: j.counts, Problem: j.problem,
		Results: append([]json.RawMessage{}, j.results[from:next]...), Next: next,
	}
}

// job answers with the state of a job, and its results as they come.
func (s *Server) job(x *httpapi.Exchange, r *request) *httpapi.Problem {
	after := r.number("after", 0, 0, maxBatch)
	if refused := r.refused(); refused != nil {
		return refused
	}
	one, refused := s.jobOf(r, x.Param("job"))
	if refused != nil {
		return refused
	}
	httpapi.WriteJSON(x, http.StatusOK, "application/json", one.view(after))
	return nil
}

// cancelJob ends a job. What it has is kept.
func (s *Server) cancelJob(x *httpapi.Exchange, r *request) *httpapi.Problem {
	if refused := r.refused(); refused != nil {
		return refused
	}
	one, refused := s.jobOf(r, x.Param("job"))
	if refused != nil {
		return refused
	}
	one.mu.Lock()
	if one.state == jobRunning {
		one.state = jobCancelled
	}
	one.mu.Unlock()
	one.cancel()
	httpapi.WriteJSON(x, http.StatusOK, "application/json", one.view(maxBatch)) // who cancels needs no more
	return nil
}

// jobOf finds a job of the caller, who still has to have the rights that it was started with. Jobs of others are not there. A job of the caller that is no more is gone.
func (s *Server) jobOf(r *request, id string) (*job, *httpapi.Problem) {
	s.jobs.mu.Lock()
	s.jobs.forget()
	one := s.jobs.known[id]
	s.jobs.mu.Unlock()
	const half = 16
	switch {
	case one == nil && len(id) == 2*half && id[:half] == callerPart(r.caller.Name):
		return nil, httpapi.NewProblem(http.StatusGone, "the job is no more: jobs are kept for %s in the memory of one process; send the request again", jobLasts)
	case one == nil || one.caller != r.caller.Name:
		return nil, httpapi.NewProblem(http.StatusNotFound, "you have no job of this id")
	}
	now, err := s.config.Authorizer.Authorize(r.Context(), serving.Bearer(r.Request), verbList, slices.Clone(one.namespaces))
	switch {
	case err != nil:
		return nil, httpapi.NewProblem(http.StatusServiceUnavailable, "%s", serving.ErrUnavailable).Later(httpapi.DatabaseAway)
	case !covers(&now.Readable, &one.readable):
		return nil, httpapi.NewProblem(http.StatusGone, "your rights are others than when the job was started; send the request again")
	}
	return one, nil
}

// covers reports whether whoever may see one set of rows may see all of another.
func covers(now, then *postgres.Readable) bool {
	if now.Everything || then.Everything {
		return now.Everything
	}
	for name, since := range then.Since {
		if at, ok := now.Since[name]; !ok || !at.Equal(since) || now.Cluster != then.Cluster {
			return false
		}
	}
	return true
}
