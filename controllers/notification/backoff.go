package notification

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
)

// maxRetryAfter bounds what a receiver may ask for.
const maxRetryAfter = time.Hour

// policy is spec.retry with its defaults.
type policy struct {
	maxAttempts      int32
	initial, maximum time.Duration
	timeout          time.Duration
}

// policyOf repeats the defaults of the CRD for resources that were stored without them.
func policyOf(s v1alpha1.RetryPolicy) policy {
	p := policy{
		maxAttempts: s.MaxAttempts,
		initial:     durationOr(s.InitialBackoff, 2*time.Second),
		maximum:     durationOr(s.MaxBackoff, 5*time.Minute),
		timeout:     durationOr(s.Timeout, 10*time.Second),
	}
	if p.maxAttempts < 1 {
		p.maxAttempts = 5
	}
	return p
}

func durationOr(d *metav1.Duration, otherwise time.Duration) time.Duration {
	if d == nil || d.Duration <= 0 {
		return otherwise
	}
	return d.Duration
}

// backoff is the wait after the given attempt (from 1). It is the initial backoff, doubled for each earlier attempt, up to the maximum. Then up to half of it is subtracted at
// random, so that notifications that failed together do not retry together ("equal jitter",
// https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/). It is at least what the receiver asked for.
func (p policy) backoff(attempt int32, retryAfter time.Duration, random func() float64) time.Duration {
	wait := min(p.initial, p.maximum)
	for i := int32(1); i < attempt && wait < p.maximum; i++ {
		wait = min(2*wait, p.maximum)
	}
	wait -= time.Duration(random() * float64(wait/2))
	return max(wait, retryAfter)
}

// parseRetryAfter reads the header in both of its forms (RFC 9110, section 10.2.3), seconds or a date; zero when it says nothing of use.
func parseRetryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if value == "" {
		return 0
	}
	if strings.Trim(value, "0123456789") == "" {
		seconds, err := strconv.ParseInt(value, 10, 64)
		if err != nil || seconds > int64(maxRetryAfter/time.Second) { // more digits than an int64 holds
			return maxRetryAfter
		}
		return time.Duration(seconds) * time.Second
	}
	date, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(0, date.Sub(now)), maxRetryAfter)
}
