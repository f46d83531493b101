package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/holdfast-dev/holdfast/models"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/postgres"
)

// storageAPI compares posting records to `holdfast storage` with writing the same rows to the database from here, and then asks twice as much of it as it can do.
func storageAPI(ctx context.Context, b *bench) error {
	url, err := b.newDatabase(ctx)
	if err != nil {
		return err
	}
	service, address, err := b.startStorage(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = service.end() }()
	s, err := postgres.Open(ctx, url, postgres.Options{})
	if err != nil {
		return err
	}
	defer s.Close()
	c := newPoster(address)
	defer c.http.CloseIdleConnections()
	single := 0.0
	for _, size := range []int{1, 100} {
		rates, direct, took, err := comparePosts(ctx, b, c, s, size)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("bodies of %d, 16 callers: ", size)
		b.report.add("storage", name+"posted", "rows/s", "", rates...)
		b.report.add("storage", name+"written directly", "rows/s", "", direct...)
		b.report.add("storage", name+"posted ÷ written directly", "", "", rates.over(direct)...)
		b.report.add("storage", name+"p50", "ms", "", took.percentile(50))
		b.report.add("storage", name+"p99", "ms", "", took.percentile(99))
		if size == 1 {
			single = rates.median()
		}
	}
	return overload(ctx, b, c, service, 2*single)
}

func comparePosts(ctx context.Context, b *bench, c *poster, s *postgres.Store, size int) (rates, direct, took sample, _ error) {
	const callers = 16
	length := time.Duration(b.size(3000)) * time.Millisecond
	for round := range b.rounds(5) + 1 {
		posted, times, err := closedLoop(ctx, callers, length, func(ctx context.Context) error {
			status, err := c.post(ctx, size)
			if err == nil && status != http.StatusCreated {
				err = fmt.Errorf("the storage service answered %d", status)
			}
			return err
		})
		if err != nil {
			return nil, nil, nil, err
		}
		written, _, err := closedLoop(ctx, callers, length, func(ctx context.Context) error {
			_, err := s.Post(ctx, rowsOf(size))
			return err
		})
		if err != nil {
			return nil, nil, nil, err
		}
		if round == 0 {
			continue // warms up
		}
		rates, direct, took = append(rates, posted*float64(size)), append(direct, written*float64(size)), append(took, times...)
	}
	return rates, direct, took, nil
}

// closedLoop has callers do something again and again for a while; the rate is of all together, the times are in ms.
func closedLoop(ctx context.Context, callers int, length time.Duration, do func(context.Context) error) (perSecond float64, took sample, _ error) {
	start := time.Now()
	times := make([]sample, callers)
	group, ctx := errgroup.WithContext(ctx)
	for i := range callers {
		group.Go(func() error {
			for time.Since(start) < length {
				begin := time.Now()
				if err := do(ctx); err != nil {
					return err
				}
				times[i] = append(times[i], milliseconds(time.Since(begin)))
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return 0, nil, err
	}
	for _, t := range times {
		took = append(took, t...)
	}
	return float64(len(took)) / time.Since(start).Seconds(), took, nil
}

// overload posts single records at a rate that the service cannot keep up with, whether or not it has answered the earlier ones.
func overload(ctx context.Context, b *bench, c *poster, service *process, rate float64) error {
	before := service.memory("VmRSS")
	var mu sync.Mutex
	statuses := map[int]int{}
	var accepted, refused sample
	var posts sync.WaitGroup
	seconds := b.size(10)
	err := pace(ctx, int(rate)*seconds, rate, func(int, time.Time) {
		posts.Go(func() {
			begin := time.Now()
			status, err := c.post(ctx, 1)
			if err != nil {
				status = 0
			}
			mu.Lock()
			defer mu.Unlock()
			statuses[status]++
			if status == http.StatusCreated {
				accepted = append(accepted, milliseconds(time.Since(begin)))
			} else {
				refused = append(refused, milliseconds(time.Since(begin)))
			}
		})
	})
	posts.Wait()
	if err != nil {
		return err
	}
	total := float64(len(accepted) + len(refused))
	name := "twice the rate of single bodies: "
	b.report.add("storage", name+"asked", "requests/s", "", rate)
	b.report.add("storage", name+"accepted", "%", "", 100*float64(len(accepted))/total)
	b.report.add("storage", name+"refused with 503", "%", "", 100*float64(statuses[http.StatusServiceUnavailable])/total)
	b.report.add("storage", name+"other answers, and none", "%", "", 100*(total-float64(len(accepted)+statuses[http.StatusServiceUnavailable]))/total)
	b.report.add("storage", name+"p50 of the accepted", "ms", "", accepted.percentile(50))
	b.report.add("storage", name+"p99 of the accepted", "ms", "", accepted.percentile(99))
	b.report.add("storage", name+"service's memory before", "MiB", "", before)
	b.report.add("storage", name+"service's memory at its highest", "MiB", "", service.memory("VmHWM"))
	return nil
}

// poster calls the service.
type poster struct {
	url  string
	http *http.Client
}

func newPoster(address string) *poster {
	return &poster{url: address + "/api/v1/audit/orchestration", http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 512}}}
}

// post sends one record as an object, or several as an array.
func (c *poster) post(ctx context.Context, size int) (status int, _ error) {
	var body any = recordOf(uuid.NewString(), 1)
	if size > 1 {
		var records []any
		for i := range size {
			records = append(records, recordOf(uuid.NewString(), i))
		}
		body = records
	}
	text, err := json.Marshal(body)
	if err != nil {
		return 0, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(text))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := c.http.Do(request)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode, err
}

// rowsOf are the rows that the service makes of such records.
func rowsOf(n int) []models.Row {
	rows := make([]models.Row, n)
	for i := range rows {
		r := recordOf(uuid.NewString(), i)
		text, err := json.Marshal(r)
		if err != nil {
			panic(err) // a record of this program's own
		}
		rows[i] = &models.OrchestrationRow{
			Envelope:      models.Envelope{ID: uuid.NewString(), Event: "Posted", RecordedAt: outboxapi.NewTime(time.Now()), RecordedBy: "bench", SchemaVersion: 1, Entry: string(text)},
			Orchestration: r,
		}
	}
	return rows
}
