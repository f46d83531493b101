package reportsapi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/holdfast-dev/holdfast/internal/serving"
	"github.com/holdfast-dev/holdfast/internal/serving/httpapi"
	"github.com/holdfast-dev/holdfast/postgres"
	"github.com/holdfast-dev/holdfast/rar"
)

// Bounds of jobs. They are in memory.
const (
	maxJobs       = 16
	maxTenantJobs = 2 // that run
	maxJobBytes   = 32 << 20
	jobLasts      = time.Hour
	// jobPage is how many results an answer has at most.
	jobPage = 50
)

// States of a job.
const (
	jobRunning   = "running"
	jobDone      = "done"
	jobCancelled = "cancelled"
	jobFailed    = "failed"
)

// jobs are batches with narratives, which take longer than a request may. They live in this process and are lost with it.
type jobs struct {
	server *Server
	now    func() time.Time

	mu    sync.Mutex
	known map[string]*job
	root  context.Context //nolint:containedctx // of what goes on after its request
	end   context.CancelFunc
	all   sync.WaitGroup
}

// job is one batch.
type job struct {
	id, caller, tenant string

	readable   postgres.Readable
	namespaces []string
	created    time.Time
	cancel     context.CancelFunc

	mu      sync.Mutex
	state   string
	problem *httpapi.Problem
	counts  Counts
	bytes   int
	results []json.RawMessage
	// read: it has ended, and its caller has had the last result.
	read bool
}

// Job is a job, as JSON.
type Job struct {
	Job       string    `json:"job"`
	State     string    `json:"state"`
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`
	Counts    Counts    `json:"counts"`
	// Problem is why it failed.
	Problem *httpapi.Problem `json:"problem,omitempty"`
	// Results are those from the parameter after on. Next is the value of after for those that follow.
	Results []json.RawMessage `json:"results"`
	Next    int               `json:"next"`
}

func newJobs(s *Server) *jobs {
	j := &jobs{server: s, now: time.Now, known: map[string]*job{}}
	j.root, j.end = context.WithCancel(context.Background())
	return j
}

// Close ends the jobs, and waits for them.
func (s *Server) Close() {
	s.jobs.end()
	s.jobs.all.Wait()
}

// jobID follows from caller, rights and request: asking twice is one job. Its first half is the caller's, so that it is known whose a job was that is no more.
func jobID(caller Caller, namespaces []string, a *asked) string {
	request, err := json.Marshal([]any{hex.EncodeToString([]byte(caller.Readable.Key())), namespaces, a})
	if err != nil {
		request = nil // it has texts only
	}
	sum := sha256.Sum256(append([]byte(caller.Name+"\n"), request...))
	return callerPart(caller.Name) + hex.EncodeToString(sum[:8])
}

func callerPart(name string) string {
	sum := sha256.Sum256([]byte("caller of jobs\n" + name))
	return hex.EncodeToString(sum[:8])
}

// startJob answers with the job of a request, which is started unless it is known.
func (s *Server) startJob(x *httpapi.Exchange, r *request, a *asked) *httpapi.Problem {
	w := s.wanted(r.params)
	var l *listed
	if a.IDs == nil {
		var refused *httpapi.Problem
		if l, refused = s.listed(r); refused != nil {
			return inBody(refused)
		}
	} else if refused := r.refused(); refused != nil {
		return inBody(refused)
	}
	if s.config.Narrator != nil {
		may, refused := s.narrators(r, r.namespaces)
		if refused != nil {
			return refused
		}
		if !may.Readable.Everything && len(may.Readable.Since) == 0 {
			return mayNotNarrate()
		}
	}
	one := &job{id: jobID(r.caller, r.namespaces, a), caller: r.caller.Name, tenant: serving.Tenant(r.caller.Name), readable: r.caller.Readable, namespaces: r.namespaces, created: s.jobs.now(), state: jobRunning}
	known, ctx, refused := s.jobs.add(one)
	if refused != nil {
		return refused
	}
	if known == one {
		own := *r
		own.Request = r.Request.Clone(ctx)
		var leave func() // what the job reads is in the share of its caller, as long as it runs
		own.own, leave = s.shares.enter(r.caller.Name)
		go func() {
			defer s.jobs.all.Done()
			defer leave()
			defer one.cancel()
			one.finish(ctx, s.guardedJob(&own, one, a, l, w)) //nolint:contextcheck // the request has it, and goes on after the one that asked
		}()
	}
	x.Header().Set("Location", pathBatch+"/"+known.id)
	httpapi.WriteJSON(x, http.StatusAccepted, "application/json", known.view(0))
	return nil
}

// add takes a job, or returns the one of its id that is known.
func (j *jobs) add(one *job) (*job, context.Context, *httpapi.Problem) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.forget()
	if known := j.known[one.id]; known != nil && known.current() != jobFailed && known.current() != jobCancelled {
		return known, nil, nil
	}
	running := 0
	for _, other := range j.known {
		if other.tenant == one.tenant && other.current() == jobRunning {
			running++
		}
	}
	switch {
	case j.root.Err() != nil:
		return nil, nil, httpapi.NewProblem(http.StatusServiceUnavailable, "the service is stopping").Later(httpapi.DatabaseAway)
	case running >= maxTenantJobs:
		return nil, nil, httpapi.NewProblem(http.StatusTooManyRequests, "%s has %d jobs that run; wait for one, or cancel it with DELETE", one.tenant, running).Later(httpapi.NeedsPerson)
	case len(j.known) >= maxJobs && j.known[one.id] == nil && !j.dropEnded(one.tenant):
		return nil, nil, j.server.shed(shedJobs, "the service is at its limit of jobs")
	}
	ctx, cancel := context.WithTimeout(j.root, jobLasts)
	one.cancel = cancel
	j.known[one.id] = one
	j.all.Add(1)
	return one, ctx, nil
}

// forget drops the jobs that are too old.
func (j *jobs) forget() {
	for id, one := range j.known {
		if j.now().Sub(one.created) > jobLasts {
			one.cancel()
			delete(j.known, id)
		}
	}
}

// dropEnded makes room for a job of a tenant: one that does not run goes. First their own, then one whose results were read, then one of the tenant who keeps most; of several the oldest.
func (j *jobs) dropEnded(tenant string) bool {
	kept := map[string]int{}
	for _, one := range j.known {
		kept[one.tenant]++
	}
	rank := func(one *job) int {
		switch {
		case one.tenant == tenant:
			return 0
		case one.wasRead():
			return 1
		}
		return 2 + maxJobs - kept[one.tenant]
	}
	var first *job
	for _, one := range j.known {
		if one.current() == jobRunning {
			continue
		}
		if first == nil || rank(one) < rank(first) || rank(one) == rank(first) && one.created.Before(first.created) {
			first = one
		}
	}
	if first != nil {
		delete(j.known, first.id)
	}
	return first != nil
}

// guardedJob is runJob, which takes no other request down with it.
func (s *Server) guardedJob(r *request, one *job, a *asked, l *listed, w wanted) (refused *httpapi.Problem) {
	defer func() {
		if cause := recover(); cause != nil {
			s.log.Error(errors.New(fmt.Sprint(cause)), "Job panicked", "stack", string(debug.Stack()))
			refused = httpapi.NewProblem(http.StatusInternalServerError, "internal error; the log of the service has the cause")
		}
	}()
	return s.runJob(r, one, a, l, w)
}

// runJob reads, tells and keeps one report after the other.
func (s *Server) runJob(r *request, one *job, a *asked, l *listed, w wanted) *httpapi.Problem {
	if a.IDs == nil {
		return s.stream(r, l, func(id string, item any, refused *httpapi.Problem) *httpapi.Problem {
			return one.keep(r, id, item, refused)
		})
	}
	return s.several(r, these(*a.IDs), w, func(id string, report *rar.Report, refused *httpapi.Problem) *httpapi.Problem {
		return one.keep(r, id, report, refused)
	})
}
