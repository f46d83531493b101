//go:build unix

package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
)

const (
	workloads = 8
	senders   = 2
	rounds    = 30 // messages of each sender
	calm      = 2 * time.Minute
)

// Summary is what was found.
type Summary struct {
	Seed      uint64         `json:"seed"`
	Schedules int            `json:"schedules"`
	Faults    map[string]int `json:"faults"`
	// Answered are the alerts answered 200, Refused the messages that were not.
	Answered int64    `json:"alertsAnswered200"`
	Refused  int64    `json:"messagesSentAgain"`
	Requests int64    `json:"requests"`
	Findings []string `json:"findings"`
}

// Run plays schedules, and says what was found in each.
func Run(ctx context.Context, seed uint64, first, runs int, to io.Writer) (_ *Summary, err error) {
	dir, err := os.MkdirTemp("", "holdfast-chaos-gateway-")
	if err != nil {
		return nil, fmt.Errorf("create a directory: %w", err)
	}
	s := &Summary{Seed: seed, Faults: map[string]int{}}
	fmt.Fprintf(to, "seed %d, gateway, schedules %d to %d\n", seed, first, first+runs-1)
	w, err := start(ctx, dir, to)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	defer func() {
		err = errors.Join(err, w.stop())
		if err == nil && len(s.Findings) == 0 {
			err = os.RemoveAll(dir)
		} else {
			fmt.Fprintln(to, "the logs are in", dir)
		}
	}()
	for number := first; number < first+runs && ctx.Err() == nil; number++ {
		p := &play{world: w, number: number, rand: rand.New(rand.NewPCG(seed, uint64(number)))}
		findings := p.run(ctx)
		s.Schedules++
		s.Answered, s.Refused, s.Requests = s.Answered+p.answered.Load(), s.Refused+p.refused.Load(), s.Requests+p.ended.Load()+workloads
		for _, name := range p.faults {
			s.Faults[name]++
		}
		fmt.Fprintf(to, "%4d  %4d alerts answered 200, %3d messages sent again: %s\n", number, p.answered.Load(), p.refused.Load(), strings.Join(p.faults, ", "))
		for _, f := range findings {
			fmt.Fprintln(to, "      FAILED:", f)
			s.Findings = append(s.Findings, fmt.Sprintf("schedule %d: %s", number, f))
		}
	}
	fmt.Fprintf(to, "%d schedules, %d alerts answered 200, %d messages sent again, %d requests, faults %v: %d findings\n", s.Schedules, s.Answered, s.Refused, s.Requests, s.Faults, len(s.Findings))
	return s, context.Cause(ctx)
}

// play is one schedule.
type play struct {
	world     *world
	number    int
	namespace string
	rand      *rand.Rand
	faults    []string
	answered  atomic.Int64
	refused   atomic.Int64
	ended     atomic.Int64

	mu sync.Mutex
	// began is when the alert of a workload began to fire.
	began map[string]time.Time
}

func (p *play) run(ctx context.Context) []string {
	w := p.world
	if err := p.prepare(ctx); err != nil {
		return []string{err.Error()}
	}
	together, playing := errgroup.WithContext(ctx)
	sending, over := context.WithCancel(playing)
	controls := rand.New(rand.NewPCG(p.rand.Uint64(), 1))
	together.Go(func() error { return p.control(sending, controls) })
	var posts sync.WaitGroup
	for range senders {
		r := rand.New(rand.NewPCG(p.rand.Uint64(), 2))
		posts.Add(1)
		together.Go(func() error { defer posts.Done(); return p.send(playing, r) })
	}
	together.Go(func() error { posts.Wait(); over(); return nil })
	for range 1 + p.rand.IntN(3) {
		pause(playing, time.Duration(p.rand.IntN(1500))*time.Millisecond)
		f := faults[p.rand.IntN(len(faults))]
		p.faults = append(p.faults, f.name)
		if err := f.do(ctx, w, p.rand); err != nil {
			w.witness.find("%s: %v", f.name, err)
		}
	}
	err := together.Wait()
	over()
	if err != nil {
		w.witness.find("%v", err)
	}
	p.settle(ctx)
	return w.witness.found()
}

func (p *play) prepare(ctx context.Context) error {
	p.namespace, p.began = fmt.Sprintf("chaos-%d", p.number), map[string]time.Time{}
	if err := p.world.client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: p.namespace, Labels: map[string]string{"holdfast.dev/gateway": "enabled"}}}); err != nil {
		return err
	}
	labels := map[string]string{"app": "x"}
	for i := range workloads {
		name := fmt.Sprintf("app-%d", i)
		p.began[name] = time.Now()
		if err := p.world.client.Create(ctx, &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace, Name: name}, Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "x"}}}},
		}}); err != nil {
			return err
		}
	}
	return nil
}

// sent is an alert in a message.
type sent struct {
	workload string
	began    time.Time
}

// send posts messages, each until it is answered 200.
func (p *play) send(ctx context.Context, r *rand.Rand) error {
	for range rounds {
		p.mu.Lock()
		names := slices.Sorted(maps.Keys(p.began))
		var alerts []sent
		for _, name := range names {
			for range r.IntN(3) {
				alerts = append(alerts, sent{name, p.began[name]})
			}
		}
		p.mu.Unlock()
		if err := p.deliver(ctx, r, alerts); err != nil {
			return err
		}
		pause(ctx, time.Duration(r.IntN(100))*time.Millisecond)
	}
	return nil
}

func (p *play) deliver(ctx context.Context, r *rand.Rand, alerts []sent) error {
	ctx, cancel := context.WithTimeout(ctx, calm)
	defer cancel()
	for {
		results, err := post(ctx, p.world.gateways[r.IntN(2)].url(), p.namespace, alerts)
		if err == nil {
			p.check(alerts, results)
			return nil
		}
		p.refused.Add(1)
		if pause(ctx, 100*time.Millisecond); ctx.Err() != nil {
			return fmt.Errorf("no answer 200 in %s: %w", calm, err)
		}
	}
}

// check notes the alerts that were answered 200, and holds each to its answer at the end.
func (p *play) check(alerts []sent, results []string) {
	p.answered.Add(int64(len(alerts)))
	for i, a := range alerts {
		if !slices.Contains([]string{"created", "open", "ended"}, results[i]) {
			p.world.witness.find("an alert of %s was answered 200 with the result %s", a.workload, results[i])
		}
	}
	p.world.witness.promise(p.namespace, alerts)
}

var httpClient = &http.Client{Timeout: 10 * time.Second}

func post(ctx context.Context, url, namespace string, alerts []sent) (results []string, _ error) {
	var all []map[string]any
	for i, a := range alerts {
		all = append(all, map[string]any{"status": "firing", "startsAt": a.began, "labels": map[string]string{"alertname": fmt.Sprintf("Alert%d", i%3), "severity": "warning", "namespace": namespace, "deployment": a.workload}})
	}
	if all == nil {
		all = []map[string]any{}
	}
	text, err := json.Marshal(map[string]any{"version": "4", "alerts": all})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	answer, err := httpClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	var reply struct {
		Alerts []struct{ Result string }
	}
	if err := json.NewDecoder(answer.Body).Decode(&reply); err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("answered %s", answer.Status)
	}
	if len(reply.Alerts) != len(alerts) {
		return nil, fmt.Errorf("%d alerts in the answer, %d in the message", len(reply.Alerts), len(alerts))
	}
	for _, a := range reply.Alerts {
		results = append(results, a.Result)
	}
	return results, nil
}

// control ends open requests, and lets the alerts fire anew, until ctx ends.
func (p *play) control(ctx context.Context, r *rand.Rand) error {
	for ctx.Err() == nil {
		name := fmt.Sprintf("app-%d", r.IntN(workloads))
		for _, open := range p.world.witness.open(p.namespace, name) {
			at := time.Now().Truncate(time.Microsecond)
			patch := fmt.Sprintf(`{"status":{"phase":"Completed","outcome":"remediated","completedTime":%q}}`, at.UTC().Format("2006-01-02T15:04:05.000000Z"))
			rr := &v1alpha1.RemediationRequest{ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace, Name: open}}
			// A patch that failed may have been made: the alerts fire anew in either case.
			if err := p.world.client.Status().Patch(ctx, rr, client.RawPatch(types.MergePatchType, []byte(patch))); err == nil {
				p.ended.Add(1)
			}
			p.mu.Lock()
			p.began[name] = time.Now()
			p.mu.Unlock()
		}
		pause(ctx, time.Duration(r.IntN(100))*time.Millisecond)
	}
	return nil
}

// settle posts every alert once more, and holds the workloads to what was promised.
func (p *play) settle(ctx context.Context) {
	p.mu.Lock()
	now := time.Now()
	var alerts []sent
	for name := range p.began {
		alerts = append(alerts, sent{name, now})
	}
	p.mu.Unlock()
	if err := p.deliver(ctx, p.rand, alerts); err != nil {
		p.world.witness.find("%v", err)
	}
	deadline := time.Now().Add(calm)
	for _, a := range alerts {
		for len(p.world.witness.open(p.namespace, a.workload)) != 1 && time.Now().Before(deadline) {
			pause(ctx, 20*time.Millisecond) // the watch is late
		}
		if open := p.world.witness.open(p.namespace, a.workload); len(open) != 1 {
			p.world.witness.find("workload %s has %d open requests at the end, expected 1: %v", a.workload, len(open), open)
		}
	}
	p.world.witness.redeem()
}
