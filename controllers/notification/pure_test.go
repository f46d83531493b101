package notification

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/testenv/secrets"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"

	"github.com/holdfast-dev/holdfast/outbox"
)

func TestRetryAfterIsSecondsOrADate(t *testing.T) {
	now := time.Date(2026, 11, 23, 4, 5, 6, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"":                              0,
		"soon":                          0,
		"-5":                            0,
		" 7 ":                           7 * time.Second,
		"3600":                          time.Hour,
		"3601":                          time.Hour,
		"99999999999999999999999999999": time.Hour,
		"Mon, 23 Nov 2026 04:05:36 GMT": 30 * time.Second,
		"Mon, 23 Nov 2026 04:05:00 GMT": 0,
		"Tue, 23 Nov 2038 04:05:00 GMT": time.Hour,
	} {
		NewWithT(t).Expect(parseRetryAfter(value, now)).To(Equal(want), value)
	}
}

func TestBackoffStaysWithinItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := policyOf(v1alpha1.RetryPolicy{
			InitialBackoff: &metav1.Duration{Duration: time.Duration(rapid.Int64Range(int64(100*time.Millisecond), int64(time.Hour)).Draw(t, "initial"))},
			MaxBackoff:     &metav1.Duration{Duration: time.Duration(rapid.Int64Range(int64(100*time.Millisecond), int64(24*time.Hour)).Draw(t, "maximum"))},
		})
		attempt := rapid.Int32Range(1, 20).Draw(t, "attempt")
		asked := time.Duration(rapid.Int64Range(0, int64(maxRetryAfter)).Draw(t, "asked"))
		x := rapid.Float64Range(0, 0.999999).Draw(t, "random")
		wait := p.backoff(attempt, asked, func() float64 { return x })
		g := NewWithT(t)
		g.Expect(wait).To(BeNumerically(">=", asked))
		g.Expect(wait).To(BeNumerically("<=", max(p.maximum, asked)))
		g.Expect(wait).To(BeNumerically(">=", min(p.initial, p.maximum)/2))
	})
}

func TestBackoffDoubles(t *testing.T) {
	p := policyOf(v1alpha1.RetryPolicy{})
	whole := func() float64 { return 0 }
	var waits []time.Duration
	for attempt := range int32(9) {
		waits = append(waits, p.backoff(attempt+1, 0, whole))
	}
	s := time.Second
	NewWithT(t).Expect(waits).To(Equal([]time.Duration{2 * s, 4 * s, 8 * s, 16 * s, 32 * s, 64 * s, 128 * s, 256 * s, 300 * s}))
}

// Ten channels of twenty attempts, every text at its worst, in one entry.
func TestLargestRecordFitsAnEntry(t *testing.T) {
	g := NewWithT(t)
	now := outboxapi.NewTime(time.Now())
	worst := oneLine(strings.Repeat(`"`, 1000), errorBytes)
	nr := &v1alpha1.NotificationRequest{ObjectMeta: metav1.ObjectMeta{
		Namespace: "n", Name: "x", UID: "1f0e2d3c-0000-4000-8000-000000000001", CreationTimestamp: metav1.Now(),
	}}
	nr.Spec.RemediationRef.UID = "1f0e2d3c-0000-4000-8000-000000000002"
	nr.Spec.Subject = strings.Repeat("\u0001", 512) + strings.Repeat("\U0001F600", 512)
	nr.Status.SentTime, nr.Status.DeliveryStatus, nr.Status.Phase = &now, v1alpha1.DeliveryPartial, v1alpha1.NotificationPartiallySent
	for range 10 {
		nr.Spec.Channels = append(nr.Spec.Channels, v1alpha1.Channel{Type: v1alpha1.ChannelWebhook})
	}
	for attempt := range int32(20) {
		for c := range int32(10) {
			nr.Status.Attempts = append(nr.Status.Attempts, v1alpha1.DeliveryAttempt{
				Channel: c, Type: v1alpha1.ChannelWebhook, Attempt: attempt + 1, State: v1alpha1.AttemptFailed, StartedTime: now,
				DurationMilliseconds: ptr.To[int64](300000), StatusCode: ptr.To[int32](503), Error: worst,
			})
		}
	}
	p := planOf(nr, policyOf(v1alpha1.RetryPolicy{MaxAttempts: 20}), now.Time)
	g.Expect(p.ended()).To(BeTrue())
	nr.Status.FailureReason = failureReason(nr, p)
	change := outbox.Change{Kind: entry.KindNotification, Event: "DeliveryFailed", Phase: string(nr.Status.Phase), Record: recordOf(nr), Final: true}
	_, _, err := entry.Append(nil, entry.SourceOf(nr), change, now.Time, entry.Salt{}, outbox.DefaultLimits())
	g.Expect(err).NotTo(HaveOccurred())

	record := recordOf(nr)
	g.Expect(record.DeliveryAttempts).To(HaveLen(200))
	g.Expect(record.DeliveryAttempts[199].Error).To(Equal(worst), "the newest are whole")
	g.Expect(record.DeliveryAttempts[0].Error).To(HaveLen(oldErrorBytes), "older ones are shortened")
}

func TestOneLineHasNoControlCharactersAndFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := string(rapid.SliceOf(rapid.Byte()).Draw(t, "text")) + rapid.String().Draw(t, "more")
		limit := rapid.IntRange(8, 64).Draw(t, "limit")
		line := oneLine(text, limit)
		g := NewWithT(t)
		g.Expect(len(line)).To(BeNumerically("<=", limit))
		g.Expect(utf8.ValidString(line)).To(BeTrue())
		g.Expect(line).NotTo(ContainSubstring("\n"))
		g.Expect(line).NotTo(ContainSubstring("\x00"))
	})
}

func TestSlackTextFits(t *testing.T) {
	text := slackText("s\nt", strings.Repeat("<", 16384))
	g := NewWithT(t)
	g.Expect(len(text)).To(BeNumerically("<=", slackBytes))
	g.Expect(text).To(HavePrefix("s t\n&lt;&lt;"))
	g.Expect(text).To(ContainSubstring("&lt;… [cut: 16384 bytes"))
}

func TestDescribeRepeatsNothing(t *testing.T) {
	err := &url.Error{Op: "Post", URL: "https://h/secret", Err: errors.New(`malformed HTTP response "secret"`)}
	NewWithT(t).Expect(describe(err, time.Second)).NotTo(ContainSubstring("secret"))
}

func TestLabelsNumberTheRepeated(t *testing.T) {
	channels := []v1alpha1.Channel{{Type: "slack"}, {Type: "console"}, {Type: "slack"}, {Type: "slack"}}
	NewWithT(t).Expect(labelsOf(channels)).To(Equal([]string{"slack", "console", "slack-2", "slack-3"}))
}

// A status that somebody has edited must not stop the manager.
func TestARecordAcceptsAStatusThatSomebodyEdited(t *testing.T) {
	g := NewWithT(t)
	nr := &v1alpha1.NotificationRequest{}
	nr.Spec.Channels = []v1alpha1.Channel{{Type: "console"}}
	nr.Status.Attempts = []v1alpha1.DeliveryAttempt{{Channel: 7, Type: "slack", State: "Nonsense"}, {Channel: -1}}
	_, err := json.Marshal(recordOf(nr))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(planOf(nr, policyOf(nr.Spec.Retry), time.Now()).due).To(Equal([]int32{0}))
}

// If a Secret contains something else than a URL, no attempt shows it, and no part of it is used as a host.
func TestNoPartOfAURLIsSaidOrAskedFor(t *testing.T) {
	ref := &v1alpha1.SecretKeyRef{Name: "hook", Key: "url"}
	static := ""
	for _, text := range []string{"", "https://a@b@c", "https://a#", "https:// /", "https://%", "https://%00", "a\nb"} {
		_, err := readEndpoint([]byte(text), ref)
		static += fmt.Sprintln(err)
	}
	for _, form := range []string{
		"https://me:%s@hook.invalid/x", "https://%s@hook.invalid/x", "https://hook.invalid/%s", "https://hook.invalid/x?token=%s", "https://hook.invalid/#%s", "%s", "me:%s@hook.invalid", "ftp://me:%s@hook.invalid",
		"https://me:12/%s@hook.invalid", "https://me:12?%s@hook.invalid", "https://me:12#%s@hook.invalid", "https://me:%s@", "https://me:%s@hook.invalid:port", "https://me:a@%s@hook.invalid",
	} {
		t.Run(form, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				secret := secrets.Password().Draw(t, "secret")
				u, err := readEndpoint([]byte(" "+strings.ReplaceAll(form, "%s", secret)+"\n"), ref)
				if err == nil {
					if u.Hostname() != "hook.invalid" {
						t.Fatalf("%q is asked for, with %q in %s", u.Hostname(), secret, form)
					}
					return
				}
				if part := secrets.Leak(err.Error(), strings.TrimSpace(secret), form, static); part != "" {
					t.Fatalf("%q is said of %q: %s", part, secret, err)
				}
				if len(err.Error()) > errorBytes {
					t.Fatalf("%d bytes, the advice is cut off: %s", len(err.Error()), err)
				}
			})
		})
	}
}
