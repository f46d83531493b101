package reportsclient

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/holdfast-dev/holdfast/internal/serving/httpapi"
)

// job is a batch that takes longer than a request may.
type job struct {
	Job     string            `json:"job"`
	State   string            `json:"state"`
	Counts  Counts            `json:"counts"`
	Problem *httpapi.Problem  `json:"problem"`
	Results []json.RawMessage `json:"results"`
	Next    int               `json:"next"`
}

const (
	// jobInterval is how often a job is asked for what is new: a language model takes seconds for each result.
	jobInterval = time.Second
	// cancelWait bounds the last call, after the caller has given up.
	cancelWait = 5 * time.Second
)

// follow hands the results of a job to visit, as they come. Whoever gives up cancels the job: it costs tokens of a language model.
func (c *Client) follow(ctx context.Context, accepted *http.Response, visit func(text []byte, line *Line) error) (_ *Counts, err error) {
	j, err := c.readJob(accepted)
	if err != nil {
		return nil, err
	}
	path := "/api/v2/rar/batch/" + url.PathEscape(j.Job)
	defer func() {
		if err == nil || j.State != "running" {
			return
		}
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), cancelWait)
		defer cancel()
		if reply, failed := c.call(last, http.MethodDelete, path, nil, nil, "application/json"); failed == nil {
			_ = reply.Body.Close()
		}
	}()
	tick := time.NewTicker(jobInterval)
	defer tick.Stop()
	for {
		for _, text := range j.Results {
			line := &Line{}
			if err := json.Unmarshal(text, line); err != nil {
				return nil, errors.New("the report service's answer is no batch")
			}
			if err := visit(text, line); err != nil {
				return nil, err
			}
		}
		if len(j.Results) == 0 && j.State != "running" {
			return j.end()
		}
		if len(j.Results) == 0 {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-tick.C:
			}
		}
		reply, err := c.call(ctx, http.MethodGet, path, url.Values{"after": {strconv.Itoa(j.Next)}}, nil, "application/json")
		if err != nil {
			return nil, err
		}
		next, err := c.readJob(reply)
		_ = reply.Body.Close()
		if err != nil {
			return nil, err
		}
		*j = *next
	}
}

func (c *Client) readJob(reply *http.Response) (*job, error) {
	text, err := c.read(reply)
	if err != nil {
		return nil, err
	}
	j := &job{}
	if err := json.Unmarshal(text, j); err != nil || j.Job == "" || j.Next < 0 {
		return nil, errors.New("the report service's answer is no job")
	}
	return j, nil
}

// end is what became of a job that runs no longer.
func (j *job) end() (*Counts, error) {
	switch {
	case j.State == "done":
		return &j.Counts, nil
	case j.Problem != nil:
		return nil, &Error{*j.Problem}
	}
	return nil, errors.New("the job was cancelled; the results above are those that it had")
}
