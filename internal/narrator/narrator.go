package narrator

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	openai "github.com/sashabaranov/go-openai"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"

	"github.com/holdfast-dev/holdfast/rar"
)

// Why a narrative is that of the rules although a model was asked for: Narrative.Reason.
const (
	reasonUnavailable = "unavailable" // no answer, or a status that is none
	reasonOverQuota   = "over-quota"  // the server answered 429
	reasonTimeout     = "timeout"
	reasonBusy        = "busy"        // too many wait already, of all or of the namespace
	reasonPaused      = "paused"      // after several failures of the server
	reasonDailyLimit  = "daily-limit" // the tokens of the day are spent, or those of the namespace
	reasonTooLarge    = "too-large"   // the facts do not fit into the input
	reasonRefused     = "refused"     // the model said that it will not
	reasonUnusable    = "unusable"    // the answer is not of the form
	reasonUnsupported = "unsupported" // no claim is supported
)

// Narrator writes narratives. It is safe for concurrent use.
type Narrator struct {
	o       Options
	client  *client
	metrics *metrics
	cache   *cache
	budget  *budget
	breaker *breaker

	flight  singleflight.Group
	waiting *queue // under way and waiting
	calling *semaphore.Weighted
	root    context.Context //nolint:containedctx // of what goes on when its caller has left
	end     context.CancelFunc
}

// New makes a narrator. It calls nobody.
func New(o Options) (*Narrator, error) {
	o.setDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	c, err := newClient(&o)
	if err != nil {
		return nil, err
	}
	n := &Narrator{o: o, client: c, metrics: newMetrics(o.Model), cache: newCache(o.CacheBytes), budget: &budget{limit: o.TokensPerDay, now: o.Now}, breaker: &breaker{failures: o.Failures, pause: o.Pause, now: o.Now},
		waiting: &queue{limit: o.Concurrency * (1 + waitingPerCall), of: map[tenant]int{}}, calling: semaphore.NewWeighted(int64(o.Concurrency))}
	n.root, n.end = context.WithCancel(context.Background())
	return n, nil
}

// waitingPerCall is how many narratives wait for each that is written. More get the rules at once.
const waitingPerCall = 4

// Close ends what is under way.
func (n *Narrator) Close() {
	n.end()
	n.client.http.CloseIdleConnections()
}

// Register adds the metrics.
func (n *Narrator) Register(r prometheus.Registerer) error { return n.metrics.register(r, n) }

// Timeout bounds Generate.
func (n *Narrator) Timeout() time.Duration { return n.o.Timeout }

// Cached is the narrative that a model wrote of the report that a key stands for, nil without one.
func (n *Narrator) Cached(key string) *rar.Narrative { return n.cache.get(key) }

// Generate returns a narrative of a report that has that of the rules: one that a model wrote, or, whatever goes wrong, that of the rules with the reason. It takes Timeout at most. The same key
// stands for the same report: whoever asks for it meanwhile gets the same narrative.
func (n *Narrator) Generate(ctx context.Context, key string, report *rar.Report) *rar.Narrative {
	if known := n.cache.get(key); known != nil {
		return known
	}
	late := time.NewTimer(n.o.Timeout)
	defer late.Stop()
	answer := n.flight.DoChan(key, func() (any, error) { return n.write(key, report), nil }) //nolint:contextcheck // others wait for the same one
	select {
	case result := <-answer:
		return result.Val.(*rar.Narrative)
	case <-late.C:
	case <-ctx.Done():
	}
	return rules(report, reasonTimeout, nil)
}

// rules is the narrative of the rules, with why it is that.
func rules(report *rar.Report, reason string, p *rar.Provenance) *rar.Narrative {
	n := report.Narrative
	n.Status, n.Reason, n.Provenance = rar.NarrativeRules, reason, p
	return &n
}

// write asks the model when it is this narrative's turn.
func (n *Narrator) write(key string, report *rar.Report) (told *rar.Narrative) {
	ctx, cancel := context.WithTimeout(n.root, n.o.Timeout)
	defer cancel()
	defer func() { n.metrics.count(told) }()
	leave, ok := n.waiting.enter(tenantOf(report))
	if !ok {
		return rules(report, reasonBusy, nil)
	}
	defer leave()
	if n.calling.Acquire(ctx, 1) != nil {
		return rules(report, reasonBusy, nil)
	}
	defer n.calling.Release(1)
	if !n.breaker.allow() {
		return rules(report, reasonPaused, nil)
	}
	w := &writing{Narrator: n, report: report, facts: speakable(report.Facts()), provenance: rar.Provenance{Model: n.o.Model, Prompt: PromptVersion}}
	told, err := w.run(ctx)
	var f *failure
	switch {
	case err == nil:
		n.breaker.report(true)
		n.cache.put(key, told)
		return told
	case !errors.As(err, &f):
		f = &failure{reasonUnusable, err}
	}
	switch f.reason {
	case reasonDailyLimit, reasonTooLarge:
		n.breaker.release()
	case reasonUnavailable, reasonTimeout, reasonOverQuota:
		n.breaker.report(false)
	default: // the server works: it is this report that the model does not tell
		n.breaker.report(true)
	}
	n.o.Log.Info("Narrative not written by the model", "remediation", report.RemediationID, "reason", f.reason, "cause", f.cause.Error())
	told = rules(report, f.reason, &w.provenance)
	if slices.Contains([]string{reasonRefused, reasonUnusable, reasonUnsupported}, f.reason) {
		told.Status = rar.NarrativeRefused
	}
	told.Dropped = w.dropped
	return told
}

// writing is one narrative on its way.
type writing struct {
	*Narrator
	report     *rar.Report
	facts      []rar.Fact
	provenance rar.Provenance
	dropped    int
}

// run is the first round and, if anything is wrong with its answer, the second. The better of both answers counts.
func (w *writing) run(ctx context.Context) (*rar.Narrative, error) {
	messages, err := question(w.facts, bytesPerToken*w.o.InputTokens)
	if err != nil {
		return nil, &failure{reasonTooLarge, err}
	}
	sent, err := json.Marshal(messages)
	if err != nil {
		return nil, &failure{reasonTooLarge, err}
	}
	w.provenance.InputSHA256 = digest(string(sent))
	first, err := w.ask(ctx, messages)
	if err != nil {
		return nil, err
	}
	best, bad := judge(first.text, w.facts, w.damaged)
	answered := first.text
	if bad != nil || len(best.dropped) > 0 {
		second, judged, err := w.repair(ctx, messages, first.text, best, bad)
		switch {
		case err != nil && bad != nil: // nothing is left of the first answer
			if !errors.Is(err, errAnswer) {
				return nil, err
			}
		case err == nil && (bad != nil || len(judged.claims) >= len(best.claims)):
			best, bad, answered = judged, nil, second
		}
	}
	w.provenance.OutputSHA256 = digest(answered)
	if bad != nil {
		return nil, &failure{reasonUnusable, bad}
	}
	w.metrics.claims(best)
	w.dropped = len(best.dropped)
	if len(best.claims) == 0 {
		return nil, &failure{reasonUnsupported, errors.New("no claim of the answer is supported by the facts")}
	}
	return &rar.Narrative{Status: rar.NarrativeGenerated, Provenance: &w.provenance, Claims: best.claims, Dropped: w.dropped}, nil
}

// repair is the second round: the model gets its answer back, with what is wrong.
func (w *writing) repair(ctx context.Context, messages []openai.ChatCompletionMessage, answer string, j *judged, bad error) (string, *judged, error) {
	again := slices.Concat(messages, []openai.ChatCompletionMessage{
		{Role: openai.ChatMessageRoleAssistant, Content: head(answer, bytesPerToken*w.o.OutputTokens)}, {Role: openai.ChatMessageRoleUser, Content: objections(j, bad)},
	})
	second, err := w.ask(ctx, again)
	if err != nil {
		return "", nil, err
	}
	judged, err := judge(second.text, w.facts, w.damaged)
	return second.text, judged, err
}

// ask makes one call, and counts its tokens.
func (w *writing) ask(ctx context.Context, messages []openai.ChatCompletionMessage) (*reply, error) {
	bytes := 0
	for _, m := range messages {
		bytes += len(m.Content)
	}
	input := int64(bytes/bytesPerToken + 1)
	reserved := input + int64(w.o.OutputTokens)
	if !w.budget.reserve(tenantOf(w.report), reserved) {
		return nil, &failure{reasonDailyLimit, errors.New("the tokens of this day are spent, or half of them for one namespace (--narrator-max-tokens-per-day)")}
	}
	ctx, cancel := context.WithTimeout(ctx, w.o.CallTimeout)
	defer cancel()
	begin := time.Now()
	r, err := w.client.ask(ctx, messages)
	w.metrics.call(time.Since(begin), r, err)
	if err != nil {
		if unused(err) { // otherwise the reservation stays: who knows what was used
			w.budget.add(tenantOf(w.report), -reserved)
		}
		return nil, err
	}
	if r.input == 0 {
		r.input = input
	}
	if r.output == 0 {
		r.output = int64(len(r.text)/bytesPerToken + 1)
	}
	w.budget.add(tenantOf(w.report), r.input+r.output-reserved)
	w.provenance.PromptTokens += r.input
	w.provenance.CompletionTokens += r.output
	if r.refused {
		w.provenance.OutputSHA256 = digest(r.text)
		return nil, &failure{reasonRefused, errors.New("the model refuses to answer")}
	}
	return r, nil
}

// damaged reports whether a fault of the chain touches one of the rows.
func (w *writing) damaged(refs []string) bool {
	return slices.ContainsFunc(w.report.Complete.Chain.Faults, func(s rar.Statement) bool {
		return slices.ContainsFunc(s.Refs, func(ref string) bool { return slices.Contains(refs, ref) })
	})
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
