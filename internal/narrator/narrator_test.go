package narrator

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/holdfast-dev/holdfast/rar"
)

var update = flag.Bool("update", false, "write testdata anew")

// good are claims about the worked example that its facts support.
var good = []struct{ kind, text string }{
	{observation, "The alert {{alert}} on {{target}} was received at {{received}}."},
	{observation, "It ended as {{outcome}} after {{total}}."},
	{observation, "The longest phase was {{bottleneck}}: it took {{bottleneck_time}}, a share of {{bottleneck_share}}."},
	{observation, "The investigation by {{investigator}} took {{investigation_time}}; the recommended action was {{action}} with a confidence of {{confidence}}."},
	{observation, "{{investigator}} found the cause {{root_cause}}."},
	{observation, "The decision was {{approval}} by {{decided_by}} after a wait of {{wait}}."},
	{observation, "The workflow {{workflow}} ran for {{execution_time}} with {{steps}} steps, {{steps_succeeded}} successful, {{retries}} retries and {{rollbacks}} rollbacks."},
	{observation, "The repair held: {{held}} within {{held_window}}."},
	{observation, "{{comparable}} comparable remediations had a success rate of {{comparable_rate}} and a mean of {{comparable_mean}}."},
	{inference, "The remediation was {{longer}} longer than the mean; the bottleneck likely was {{bottleneck}}."},
	{inference, "The verdict {{verdict}} is consistent with the reason {{verdict_reason}}."},
	{recommendation, "Consider the recommendation {{recommendation}}."},
}

func goodClaims(t *testing.T, r *rar.Report) []map[string]any {
	t.Helper()
	var all []map[string]any
	for _, c := range good {
		all = append(all, saying(t, r, c.kind, c.text))
	}
	return all
}

// What a model says of the worked example is shown with its values, as the golden file has it.
func TestANarrativeOfAModel(t *testing.T) {
	g := NewWithT(t)
	r := worked(t)
	s := says(t, answering(t, goodClaims(t, r)...))
	got := narrates(t, s).Generate(t.Context(), "key", r)
	g.Expect(got.Status).To(Equal(rar.NarrativeGenerated), "%+v", got)
	g.Expect(got.Dropped).To(BeZero())
	g.Expect(got.Claims).To(HaveLen(len(good)))
	text, err := json.MarshalIndent(got, "", "  ")
	g.Expect(err).NotTo(HaveOccurred())
	golden(t, "worked.json", string(text)+"\n")
	var asked struct {
		Messages []struct{ Role, Content string }
	}
	g.Expect(json.Unmarshal(<-s.asked, &asked)).To(Succeed())
	g.Expect(asked.Messages).To(HaveLen(2))
	golden(t, "prompt.txt", asked.Messages[0].Content+"\n\n"+asked.Messages[1].Content+"\n")
	g.Expect(s.calls.Load()).To(BeEquivalentTo(1), "nothing to repair")
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	g := NewWithT(t)
	file := filepath.Join("testdata", name)
	if *update {
		g.Expect(os.MkdirAll("testdata", 0o755)).To(Succeed())
		g.Expect(os.WriteFile(file, []byte(got), 0o644)).To(Succeed())
	}
	want, err := os.ReadFile(file)
	g.Expect(err).NotTo(HaveOccurred(), "write it with -update")
	g.Expect(strings.Split(got, "\n")).To(Equal(strings.Split(string(want), "\n")), "look at it, then -update")
}

// Each fact that a report can have can be put into words: a new one needs a term.
func TestEveryFactHasATerm(t *testing.T) {
	files, err := filepath.Glob("../../rar/testdata/golden/*.json")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	NewWithT(t).Expect(files).NotTo(BeEmpty())
	for _, file := range files {
		g := NewWithT(t)
		text, err := os.ReadFile(file)
		g.Expect(err).NotTo(HaveOccurred())
		r := &rar.Report{}
		g.Expect(json.Unmarshal(text, r)).To(Succeed())
		g.Expect(speakable(r.Facts())).To(HaveLen(len(r.Facts())), file)
	}
}

// What a claim lacks is said to the model once, and the better of both answers counts.
func TestTheSecondRound(t *testing.T) {
	g := NewWithT(t)
	r := worked(t)
	all := goodClaims(t, r)
	bad := saying(t, r, observation, "It ended as {{outcome}} after 7 hours.")
	mixed, repaired := answering(t, all[0], bad), answering(t, all[0], all[1])

	s := says(t, mixed, repaired)
	got := narrates(t, s).Generate(t.Context(), "key", r)
	g.Expect(got.Claims).To(HaveLen(2))
	g.Expect(got.Dropped).To(BeZero())
	g.Expect(got.Provenance.OutputSHA256).To(Equal(digest(repaired)))
	g.Expect(got.Provenance.PromptTokens).To(BeEquivalentTo(2400))
	<-s.asked
	g.Expect(string(<-s.asked)).To(ContainSubstring("claim 2: text has a digit"))

	n := narrates(t, says(t, mixed))
	got = n.Generate(t.Context(), "key", r)
	g.Expect(got.Status).To(Equal(rar.NarrativeGenerated))
	g.Expect(got.Claims).To(HaveLen(1))
	g.Expect(got.Dropped).To(Equal(1))
	g.Expect(testutil.ToFloat64(n.metrics.dropped.WithLabelValues(badNumber))).To(Equal(1.0))

	got = narrates(t, says(t, mixed, "I am sorry")).Generate(t.Context(), "key", r)
	g.Expect(got.Claims).To(HaveLen(1), "the first answer counts")
	got = narrates(t, says(t, "garbage", repaired)).Generate(t.Context(), "key", r)
	g.Expect(got.Claims).To(HaveLen(2), "the second answer counts")
	broken := play(t, func(w http.ResponseWriter, _ *http.Request, n int) {
		if n > 1 {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		saysJSON(w, completion(t, mixed))
	})
	got = narrates(t, broken).Generate(t.Context(), "key", r)
	g.Expect(got.Claims).To(HaveLen(1))
}

// Credentials that are in a record do not leave for the model's server.
func TestCredentialsStay(t *testing.T) {
	g := NewWithT(t)
	r := worked(t)
	secret := "ghp_" + strings.Repeat("aB3dE5gH7j", 4)[:36]
	r.AI.RootCause = strings.Repeat("x ", 480) + "token " + secret + " and postgres://cart:sesame@db/cart"
	s := says(t, "{}")
	narrates(t, s).Generate(t.Context(), "key", r)
	text := string(<-s.asked)
	g.Expect(text).To(ContainSubstring("[redacted: github-token]"))
	g.Expect(text).NotTo(Or(ContainSubstring(secret[:20]), ContainSubstring("sesame")))
}

// A claim that rests on a damaged row says so.
func TestADamagedRow(t *testing.T) {
	g := NewWithT(t)
	r := worked(t)
	r.Complete.Chain.Faults = []rar.Statement{{Text: "x", Refs: r.Summary.Refs}}
	got := narrates(t, says(t, answering(t, goodClaims(t, r)[1]))).Generate(t.Context(), "key", r)
	g.Expect(got.Claims[0].Text).To(HaveSuffix("(A row that says so was changed or moved.)"))
}

// Ten callers of the same report at once are one call, and later ones none. What was refused is asked again.
func TestOneCallForOneReport(t *testing.T) {
	g := NewWithT(t)
	r := worked(t)
	body, release := completion(t, answering(t, goodClaims(t, r)...)), make(chan struct{})
	s := play(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
		<-release
		saysJSON(w, body)
	})
	n := narrates(t, s)
	g.Expect(n.Cached("key")).To(BeNil())
	var together sync.WaitGroup
	for range 10 {
		together.Go(func() { g.Expect(n.Generate(t.Context(), "key", r).Status).To(Equal(rar.NarrativeGenerated)) })
	}
	g.Eventually(s.calls.Load, patience).Should(BeEquivalentTo(1))
	gone, leave := context.WithCancel(t.Context())
	leave()
	g.Expect(n.Generate(gone, "key", r).Reason).To(Equal(reasonTimeout), "whoever leaves takes nothing from the others")
	close(release)
	together.Wait()
	g.Expect(n.Generate(t.Context(), "key", r).Status).To(Equal(rar.NarrativeGenerated))
	g.Expect(n.Cached("key").Status).To(Equal(rar.NarrativeGenerated))
	g.Expect(s.calls.Load()).To(BeEquivalentTo(1))
}

// Two are written at once, some wait, and the others get the rules without waiting.
func TestManyReportsAtOnce(t *testing.T) {
	g := NewWithT(t)
	r := worked(t)
	body, release := completion(t, answering(t, goodClaims(t, r)...)), make(chan struct{})
	s := play(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
		<-release
		saysJSON(w, body)
	})
	n := narrates(t, s, func(o *Options) { o.Concurrency = 2 })
	results := make(chan string, 20)
	for i := range 20 {
		go func() {
			got := n.Generate(t.Context(), string(rune('a'+i)), of(r, string(rune('a'+i%4))))
			results <- got.Status + got.Reason
		}()
	}
	for range 20 - 2*(1+waitingPerCall) {
		g.Expect(<-results).To(Equal(rar.NarrativeRules + reasonBusy))
	}
	g.Eventually(s.calls.Load, patience).Should(BeEquivalentTo(2))
	close(release)
	for range 2 * (1 + waitingPerCall) {
		g.Expect(<-results).To(Equal(rar.NarrativeGenerated))
	}
}

// of is a report of another namespace.
func of(r *rar.Report, namespace string) *rar.Report {
	other := *r
	other.Summary.Target.Namespace = namespace
	return &other
}

// One namespace has half of the queue: a place is left for others.
func TestTheQueueHasShares(t *testing.T) {
	g := NewWithT(t)
	r := worked(t)
	body, release := completion(t, answering(t, goodClaims(t, r)...)), make(chan struct{})
	s := play(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
		<-release
		saysJSON(w, body)
	})
	n := narrates(t, s, func(o *Options) { o.Concurrency = 2 })
	results := make(chan string, 20)
	for i := range 20 {
		go func() { results <- n.Generate(t.Context(), fmt.Sprint("a", i), of(r, "a")).Reason }()
	}
	for range 15 {
		g.Expect(<-results).To(Equal(reasonBusy))
	}
	other := make(chan string, 1)
	go func() { other <- n.Generate(t.Context(), "b", of(r, "b")).Status }()
	g.Eventually(func() int {
		n.waiting.mu.Lock()
		defer n.waiting.mu.Unlock()
		return n.waiting.all
	}, patience).Should(Equal(6))
	close(release)
	g.Expect(<-other).To(Equal(rar.NarrativeGenerated))
	for range 5 {
		g.Expect(<-results).To(BeEmpty())
	}
	g.Expect(n.waiting.of).To(BeEmpty())
}

// Reports whose contents upset the model pause it for nobody.
func TestAnswersThatCannotBeUsedPauseNothing(t *testing.T) {
	r := worked(t)
	fine := completion(t, answering(t, goodClaims(t, r)...))
	for reason, bad := range map[string]string{
		reasonUnusable:    completion(t, "no JSON"),
		reasonUnsupported: completion(t, answering(t, map[string]any{"section": "summary", "kind": observation, "text": "All is well.", "facts": []string{}})),
		reasonRefused:     `{"choices":[{"index":0,"finish_reason":"content_filter","message":{"role":"assistant","content":""}}]}`,
	} {
		t.Run(reason, func(t *testing.T) {
			g := NewWithT(t)
			says := atomic.Pointer[string]{}
			says.Store(&bad)
			s := play(t, func(w http.ResponseWriter, _ *http.Request, _ int) { saysJSON(w, *says.Load()) })
			n := narrates(t, s, func(o *Options) { o.Failures = DefaultOptions().Failures })
			for i := range 5 {
				g.Expect(n.Generate(t.Context(), fmt.Sprint("bad", i), of(r, "a")).Reason).To(Equal(reason))
			}
			says.Store(&fine)
			g.Expect(n.Generate(t.Context(), "fine", of(r, "b")).Status).To(Equal(rar.NarrativeGenerated))
		})
	}
}

// After failures in a row nobody is asked until the pause is over; then one call decides.
func TestTheBreaker(t *testing.T) {
	g := NewWithT(t)
	r := worked(t)
	down, now := true, time.Date(2026, 11, 23, 4, 5, 6, 0, time.UTC)
	body := completion(t, answering(t, goodClaims(t, r)...))
	s := play(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
		if down {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		saysJSON(w, body)
	})
	n := narrates(t, s, func(o *Options) { o.Failures, o.Pause, o.Now = 2, time.Minute, func() time.Time { return now } })
	ask := func() string { return n.Generate(t.Context(), "key", r).Reason }
	g.Expect([]string{ask(), ask(), ask()}).To(Equal([]string{reasonUnavailable, reasonUnavailable, reasonPaused}))
	g.Expect(s.calls.Load()).To(BeEquivalentTo(2))
	now = now.Add(time.Minute)
	g.Expect([]string{ask(), ask()}).To(Equal([]string{reasonUnavailable, reasonPaused}))
	now = now.Add(time.Minute)
	down = false
	g.Expect(ask()).To(BeEmpty())
	g.Expect(n.breaker.open()).To(BeFalse())
}

// The tokens of a day are counted before a call is made, and those that the server says were used.
func TestTheDailyLimit(t *testing.T) {
	g := NewWithT(t)
	r := worked(t)
	now := time.Date(2026, 11, 23, 4, 5, 6, 0, time.UTC)
	s := says(t, answering(t, goodClaims(t, r)...))
	n := narrates(t, s, func(o *Options) {
		o.TokensPerDay, o.OutputTokens, o.Now = 18_000, 1000, func() time.Time { return now }
	})
	first := n.Generate(t.Context(), "a", r)
	g.Expect(first.Status).To(Equal(rar.NarrativeGenerated))
	g.Expect(n.budget.left()).To(BeEquivalentTo(18_000 - 1500))
	asked := 0
	for ; n.Generate(t.Context(), "b"+strings.Repeat("b", asked), r).Reason != reasonDailyLimit; asked++ {
		g.Expect(asked).To(BeNumerically("<", 6))
	}
	g.Expect(n.Generate(t.Context(), "other", of(r, "other")).Status).To(Equal(rar.NarrativeGenerated), "half is left for others")
	now = now.AddDate(0, 0, 1)
	g.Expect(n.Generate(t.Context(), "c", r).Status).To(Equal(rar.NarrativeGenerated))
}

// A server that is away, or refuses each call, takes no tokens of the day: when it is back, there are as many as before. A call that failed after it was taken may have used its own.
func TestWhatWasNotUsedIsNotCounted(t *testing.T) {
	r := worked(t)
	const limit = 1_000_000
	token := filepath.Join(t.TempDir(), "token")
	for name, c := range map[string]struct {
		code  int
		adapt func(*Options)
		used  OmegaMatcher
	}{
		"no connection":  {0, func(o *Options) { o.URL = "http://127.0.0.1:1/v1" }, BeZero()},
		"no token file":  {0, func(o *Options) { o.TokenFile = token }, BeZero()},
		"401":            {http.StatusUnauthorized, nil, BeZero()},
		"429":            {http.StatusTooManyRequests, nil, BeZero()},
		"502":            {http.StatusBadGateway, nil, BeNumerically(">", 0)},
		"a cut response": {0, nil, BeNumerically(">", 0)},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			s := play(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
				if c.code == 0 {
					panic(http.ErrAbortHandler)
				}
				w.WriteHeader(c.code)
			})
			g.Expect(os.WriteFile(token, []byte("secret"), 0o600)).To(Succeed())
			n := narrates(t, s, func(o *Options) {
				o.TokensPerDay = limit
				if c.adapt != nil {
					c.adapt(o)
				}
			})
			g.Expect(os.Remove(token)).To(Succeed())
			g.Expect(n.Generate(t.Context(), "a", r).Status).To(Equal(rar.NarrativeRules))
			g.Expect(limit-n.budget.left()).To(c.used, "of the day")
			g.Expect(n.budget.of[tenantOf(r)]).To(c.used, "of the namespace")
		})
	}
}

// The cache has a size in bytes, and forgets what was not used for longest.
func TestTheCache(t *testing.T) {
	g := NewWithT(t)
	one := &rar.Narrative{Status: rar.NarrativeGenerated, Claims: []rar.Claim{{Text: strings.Repeat("x", 1000)}}}
	c := newCache(4000)
	for _, key := range []string{"a", "b", "c"} {
		c.put(key, one)
	}
	c.put("c", one)
	g.Expect(c.get("a")).NotTo(BeNil())
	c.put("d", one)
	g.Expect(c.get("b")).To(BeNil())
	g.Expect(c.get("a")).NotTo(BeNil())
	g.Expect(c.size()).To(BeNumerically("<=", 4000))
	c.put("e", &rar.Narrative{Claims: []rar.Claim{{Text: strings.Repeat("x", 5000)}}})
	g.Expect(c.size()).To(BeZero(), "what is larger than the cache is not kept")
}

// Facts that are too many for the input are cut, and those that do not fit even then are not sent.
func TestTheInputIsBounded(t *testing.T) {
	g := NewWithT(t)
	r := worked(t)
	r.AI.RootCause = strings.Repeat("memory ", 10_000)
	messages, err := question(speakable(r.Facts()), 40_000)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(len(messages[0].Content) + len(messages[1].Content)).To(BeNumerically("<", 40_000))
	s := says(t, "{}")
	got := narrates(t, s, func(o *Options) { o.InputTokens = 100 }).Generate(t.Context(), "key", r)
	g.Expect(got.Reason).To(Equal(reasonTooLarge))
	g.Expect(s.calls.Load()).To(BeZero())
}

func TestOptions(t *testing.T) {
	g := NewWithT(t)
	for says, o := range map[string]Options{
		"--narrator-model":      {URL: "http://models.ai/v1"},
		"--narrator-url":        {URL: "models.ai", Model: "m"},
		"--narrator-token-file": {URL: "http://models.ai/v1", Model: "m", TokenFile: "/does/not/exist"},
		"negative":              {URL: "http://models.ai/v1", Model: "m", Timeout: -1},
	} {
		_, err := New(o)
		g.Expect(err).To(MatchError(ContainSubstring(says)))
	}
}

// The token is read for each call, is sent, and is in no error.
func TestTheToken(t *testing.T) {
	g := NewWithT(t)
	r := worked(t)
	file := filepath.Join(t.TempDir(), "token")
	g.Expect(os.WriteFile(file, []byte("XQZXQZXQZ\n"), 0o600)).To(Succeed())
	seen := make(chan string, 10)
	s := play(t, func(w http.ResponseWriter, q *http.Request, _ int) {
		seen <- q.Header.Get("Authorization")
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		saysJSON(w, `{"error":{"message":"no such key: `+q.Header.Get("Authorization")+`"}}`)
	})
	n := narrates(t, s, func(o *Options) { o.TokenFile = file })
	got := n.Generate(t.Context(), "key", r)
	g.Expect(got.Reason).To(Equal(reasonUnavailable))
	g.Expect(<-seen).To(Equal("Bearer XQZXQZXQZ"))
	_, err := n.client.ask(t.Context(), nil)
	for each := err; each != nil; each = errors.Unwrap(each) {
		g.Expect(each.Error()).NotTo(ContainSubstring("XQZ"))
	}
	g.Expect(os.Remove(file)).To(Succeed())
	g.Expect(n.Generate(t.Context(), "key", r).Reason).To(Equal(reasonUnavailable))
}

func TestMetricsAreRegistered(t *testing.T) {
	g := NewWithT(t)
	r := worked(t)
	n := narrates(t, says(t, answering(t, goodClaims(t, r)...)))
	registry := prometheus.NewPedanticRegistry()
	g.Expect(n.Register(registry)).To(Succeed())
	n.Generate(t.Context(), "key", r)
	g.Expect(testutil.GatherAndCount(registry, "gen_ai_client_token_usage")).To(Equal(2))
	g.Expect(testutil.GatherAndCount(registry, "gen_ai_client_operation_duration_seconds")).To(Equal(1))
	g.Expect(testutil.ToFloat64(n.metrics.narratives.WithLabelValues(rar.NarrativeGenerated))).To(Equal(1.0))
	g.Expect(testutil.ToFloat64(n.metrics.shown)).To(Equal(float64(len(good))))
}
