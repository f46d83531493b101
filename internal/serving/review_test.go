//go:build unix

package serving_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/holdfast-dev/holdfast/internal/serving"
)

func TestWhoIsLetIn(t *testing.T) {
	writer, relay, nobody, gone := newCaller(t, "create"), newCaller(t, "create", "relay"), newCaller(t), newCaller(t, "create")
	onlyRelay := newCaller(t, "relay")
	left := gone.token(t, audience)
	NewWithT(t).Expect(client.CoreV1().ServiceAccounts(gone.namespace).Delete(t.Context(), gone.name, metav1.DeleteOptions{})).To(Succeed())
	mine := writer.token(t, audience)
	tampered := strings.Split(mine, ".")
	tampered[1] = strings.Split(relay.token(t, audience), ".")[1]
	r := reviewer(t, admin, serving.Options{})

	for name, c := range map[string]struct {
		token string
		user  string
		may   bool
		err   error
	}{
		"a writer":                             {token: mine, user: writer.user()},
		"a relay":                              {token: relay.token(t, audience), user: relay.user(), may: true},
		"one of several audiences":             {token: writer.token(t, "elsewhere", audience), user: writer.user()},
		"signed by the cluster's key":          {token: resigned(t, mine, func(map[string]any) {}), user: writer.user()},
		"no right":                             {token: nobody.token(t, audience), err: serving.ErrForbidden},
		"relay alone":                          {token: onlyRelay.token(t, audience), err: serving.ErrForbidden},
		"no token":                             {err: serving.ErrUnauthenticated},
		"garbage":                              {token: "garbage", err: serving.ErrUnauthenticated},
		"control characters and invalid UTF-8": {token: "\x00\xff\r\nX: y", err: serving.ErrUnauthenticated},
		"far too long":                         {token: strings.Repeat("a", 1<<20), err: serving.ErrUnauthenticated},
		"for another audience":                 {token: writer.token(t, "elsewhere"), err: serving.ErrUnauthenticated},
		"for the API server":                   {token: writer.token(t), err: serving.ErrUnauthenticated},
		"of a deleted account":                 {token: left, err: serving.ErrUnauthenticated},
		"another's claims":                     {token: strings.Join(tampered, "."), err: serving.ErrUnauthenticated},
		"expired": {err: serving.ErrUnauthenticated, token: resigned(t, mine, func(claims map[string]any) {
			now := time.Now().Unix()
			claims["iat"], claims["nbf"], claims["exp"] = now-1200, now-1200, now-600
		})},
		"not valid yet": {err: serving.ErrUnauthenticated, token: resigned(t, mine, func(claims map[string]any) {
			now := time.Now().Unix()
			claims["iat"], claims["nbf"], claims["exp"] = now+600, now+600, now+1200
		})},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			for _, from := range []string{"the API server", "the cache"} {
				v, err := r.Review(t.Context(), c.token)
				if c.err != nil {
					g.Expect(err).To(MatchError(c.err), from)
					g.Expect(v).To(BeZero(), from)
					withoutSecrets(t, err.Error(), c.token)
					continue
				}
				g.Expect(err).NotTo(HaveOccurred(), from)
				g.Expect(v).To(Equal(serving.Verdict{User: c.user, May: []bool{c.may}}), from)
			}
			withoutSecrets(t, logged.String(), c.token)
		})
	}
}

// withoutSecrets: neither a token nor one of a JWT's three parts.
func withoutSecrets(t *testing.T, text, token string) {
	t.Helper()
	for _, part := range append(strings.Split(token, "."), token) {
		if len(part) > 20 {
			NewWithT(t).Expect(strings.Contains(text, part)).To(BeFalse(), "it holds a part of the token")
		}
	}
}

func TestAnAnswerCountsForItsTimeOnly(t *testing.T) {
	g := NewWithT(t)
	var asked traffic
	clock := clocktesting.NewFakePassiveClock(time.Now())
	r := reviewer(t, asked.on(admin), serving.Options{AllowedFor: time.Minute, RefusedFor: 10 * time.Second, Clock: clock})
	c := newCaller(t, "create")
	token := c.token(t, audience)
	review := func() error { _, err := r.Review(t.Context(), token); return err }

	g.Expect(review()).To(Succeed())
	c.unbind(t, create)
	clock.SetTime(clock.Now().Add(time.Minute - time.Second))
	g.Expect(review()).To(Succeed())
	g.Expect(asked.tokens.Load()).To(BeEquivalentTo(1))
	clock.SetTime(clock.Now().Add(2 * time.Second))
	g.Expect(review()).To(And(MatchError(serving.ErrForbidden), MatchError("forbidden: "+c.user()+" does not have permission to create auditrecords.holdfast.dev")))

	c = newCaller(t)
	token = c.token(t, audience)
	g.Expect(review()).To(MatchError(serving.ErrForbidden))
	before := asked.tokens.Load()
	c.bind(t, create)
	clock.SetTime(clock.Now().Add(9 * time.Second))
	g.Expect(review()).To(MatchError(serving.ErrForbidden))
	g.Expect(asked.tokens.Load()).To(Equal(before))
	clock.SetTime(clock.Now().Add(2 * time.Second))
	g.Expect(review()).To(Succeed())
}

func TestNoAnswerOutlivesItsToken(t *testing.T) {
	g := NewWithT(t)
	var asked traffic
	now := time.Now()
	clock := clocktesting.NewFakePassiveClock(now)
	r := reviewer(t, asked.on(admin), serving.Options{AllowedFor: 24 * time.Hour, Clock: clock})
	token := resigned(t, newCaller(t, "create").token(t, audience), func(claims map[string]any) { claims["exp"] = now.Add(20 * time.Minute).Unix() })
	review := func() int32 {
		_, err := r.Review(t.Context(), token)
		g.Expect(err).NotTo(HaveOccurred())
		return asked.tokens.Load()
	}
	g.Expect(review()).To(BeEquivalentTo(1))
	clock.SetTime(now.Add(19 * time.Minute))
	g.Expect(review()).To(BeEquivalentTo(1))
	// The API server, whose clock is the real one, still takes it. By ours it has expired: nothing is remembered of it any more.
	clock.SetTime(time.Unix(now.Add(20*time.Minute).Unix(), 0))
	g.Expect(review()).To(BeEquivalentTo(2))
	g.Expect(review()).To(BeEquivalentTo(3))
}

// proxied is the API server behind a proxy that can be switched off.
func proxied(t *testing.T) (*toxiproxy.Proxy, *rest.Config) {
	t.Helper()
	g := NewWithT(t)
	cfg := rest.CopyConfig(admin)
	host, err := url.Parse(cfg.Host)
	g.Expect(err).NotTo(HaveOccurred())
	proxy := toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop()), t.Name(), "127.0.0.1:0", host.Host)
	g.Expect(proxy.Start()).To(Succeed())
	t.Cleanup(proxy.Stop)
	cfg.Host = "https://" + proxy.Listen
	return proxy, cfg
}

func TestTheAPIServerIsAway(t *testing.T) {
	g := NewWithT(t)
	proxy, cfg := proxied(t)
	clock := clocktesting.NewFakePassiveClock(time.Now())
	r := reviewer(t, cfg, serving.Options{Clock: clock})
	known, other := newCaller(t, "create"), newCaller(t, "create")
	first, second := known.token(t, audience), other.token(t, audience)
	review := func(token string) error { _, err := r.Review(t.Context(), token); return err }

	g.Expect(review(first)).To(Succeed())
	g.Expect(review("garbage")).To(MatchError(serving.ErrUnauthenticated))
	proxy.Stop()
	g.Expect(review(first)).To(Succeed(), "it was reviewed before")
	g.Expect(review("garbage")).To(MatchError(serving.ErrUnauthenticated), "so was it")
	err := review(second)
	g.Expect(err).To(And(MatchError(serving.ErrUnavailable), MatchError(ContainSubstring("TokenReview"))))
	withoutSecrets(t, err.Error(), second)
	clock.SetTime(clock.Now().Add(2 * time.Minute))
	g.Expect(review(first)).To(MatchError(serving.ErrUnavailable), "its time is over")

	g.Expect(proxy.Start()).To(Succeed())
	g.Eventually(func() error { return errors.Join(review(first), review(second)) }, enforceTimeout, poll).Should(Succeed())
	withoutSecrets(t, logged.String(), second)
}

func TestABrokenConnectionIsTriedAgain(t *testing.T) {
	g := NewWithT(t)
	var once sync.Once
	asked := traffic{before: func(*http.Request) (err error) {
		once.Do(func() { err = errors.New("http2: client connection lost") })
		return err
	}}
	_, err := reviewer(t, asked.on(admin), serving.Options{}).Review(t.Context(), newCaller(t, "create").token(t, audience))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(asked.tokens.Load()).To(BeEquivalentTo(2))
}

func TestTheServicesOwnAccountMayNotReview(t *testing.T) {
	g := NewWithT(t)
	cfg := rest.CopyConfig(admin)
	cfg.Impersonate = rest.ImpersonationConfig{UserName: "nobody"}
	token := newCaller(t, "create").token(t, audience)
	_, err := reviewer(t, cfg, serving.Options{}).Review(t.Context(), token)
	g.Expect(err).To(And(MatchError(serving.ErrUnavailable), MatchError(ContainSubstring(`User "nobody" cannot create resource "tokenreviews"`))))
	withoutSecrets(t, err.Error(), token)
}

func TestInventedTokensDoNotPushOutRealOnes(t *testing.T) {
	g := NewWithT(t)
	var asked traffic
	r := reviewer(t, asked.on(admin), serving.Options{Remembered: 4})
	token := newCaller(t, "create").token(t, audience)
	_, err := r.Review(t.Context(), token)
	g.Expect(err).NotTo(HaveOccurred())
	for i := range 20 {
		_, err := r.Review(t.Context(), fmt.Sprintf("invented-%d", i))
		g.Expect(err).To(MatchError(serving.ErrUnauthenticated))
	}
	before := asked.tokens.Load()
	_, err = r.Review(t.Context(), "invented-19")
	g.Expect(err).To(MatchError(serving.ErrUnauthenticated))
	_, err = r.Review(t.Context(), token)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(asked.tokens.Load()).To(Equal(before), "both are remembered")
	_, err = r.Review(t.Context(), "invented-0")
	g.Expect(err).To(MatchError(serving.ErrUnauthenticated))
	g.Expect(asked.tokens.Load()).To(Equal(before+1), "no more than four are")
}

func TestOneReviewAToken(t *testing.T) {
	g := NewWithT(t)
	var asked traffic
	r := reviewer(t, asked.on(admin), serving.Options{})
	token := newCaller(t, "create").token(t, audience)
	results := make(chan error)
	for range 50 {
		go func() { _, err := r.Review(t.Context(), token); results <- err }()
	}
	for range 50 {
		g.Expect(<-results).To(Succeed())
	}
	g.Expect(asked.tokens.Load()).To(BeEquivalentTo(1))
	g.Expect(asked.access.Load()).To(BeEquivalentTo(2))
}

// A caller who hangs up does not take the answer from the others who wait for it, and too many at once are not let through to the API server.
func TestReviewsThatTakeLong(t *testing.T) {
	g := NewWithT(t)
	reached, release := make(chan struct{}, 10), make(chan struct{})
	asked := traffic{before: func(*http.Request) error { reached <- struct{}{}; <-release; return nil }}
	r := reviewer(t, asked.on(admin), serving.Options{Concurrent: 1, Timeout: 3 * time.Second})
	token := newCaller(t, "create").token(t, audience)

	ctx, hangUp := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() { _, err := r.Review(ctx, token); first <- err }()
	<-reached
	hangUp()
	g.Expect(<-first).To(And(MatchError(serving.ErrUnavailable), MatchError(context.Canceled)))

	second := make(chan error, 1)
	go func() { _, err := r.Review(t.Context(), token); second <- err }()
	crowded, leave := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer leave()
	_, err := r.Review(crowded, "another token")
	g.Expect(err).To(MatchError(serving.ErrUnavailable))
	g.Expect(asked.tokens.Load()).To(BeEquivalentTo(1), "it waits for its turn")
	close(release)
	g.Expect(<-second).To(Succeed())
}

func TestTooManyReviews(t *testing.T) {
	g := NewWithT(t)
	reached, release := make(chan struct{}, 10), make(chan struct{})
	asked := traffic{before: func(*http.Request) error { reached <- struct{}{}; <-release; return nil }}
	r := reviewer(t, asked.on(admin), serving.Options{Concurrent: 1, Timeout: 300 * time.Millisecond})
	held := make(chan error, 1)
	go func() { _, err := r.Review(t.Context(), "one"); held <- err }()
	<-reached
	_, err := r.Review(t.Context(), "two")
	g.Expect(err).To(And(MatchError(serving.ErrUnavailable), MatchError(ContainSubstring("too many token reviews are in progress"))))
	close(release)
	g.Expect(<-held).To(HaveOccurred())
}

func TestOptionsAreChecked(t *testing.T) {
	g := NewWithT(t)
	for _, o := range []serving.Options{
		{},
		{Needs: serving.Right{Resource: &authorizationv1.ResourceAttributes{}, Path: &authorizationv1.NonResourceAttributes{}}},
		{Needs: ask("create"), Asks: []serving.Right{{}}},
		{Needs: ask("create"), AllowedFor: -time.Second},
		{Needs: ask("create"), Remembered: -1},
	} {
		_, err := serving.NewReviewer(admin, o)
		g.Expect(err).To(HaveOccurred(), "%+v", o)
	}
}
