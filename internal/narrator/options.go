package narrator

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"

	"github.com/holdfast-dev/holdfast/internal/credential"
)

// Options of a Narrator. What is zero has the default.
type Options struct {
	// URL of a server that has /chat/completions under it, and its Model. TokenFile has its bearer token, and is read for each call; "" is none.
	URL, Model, TokenFile string
	// CallTimeout bounds a call, 45 s, and Timeout a narrative with its repair and its wait, 90 s.
	CallTimeout, Timeout time.Duration
	// InputTokens of a call, 16000, are estimated from its bytes. OutputTokens, 4000, are asked for.
	InputTokens, OutputTokens int
	// Concurrency is how many narratives are written at once, 2.
	Concurrency int
	// TokensPerDay, 1000000, in and out, of this process and a day in UTC.
	TokensPerDay int64
	// CacheBytes of narratives are kept, 16 MiB.
	CacheBytes int
	// After Failures in a row, 5, no call is made for Pause, 1 minute.
	Failures int
	Pause    time.Duration

	Log logr.Logger
	Now func() time.Time
}

// DefaultOptions are those that hold where nothing else is said.
func DefaultOptions() Options {
	return Options{CallTimeout: 45 * time.Second, Timeout: 90 * time.Second, InputTokens: 16_000, OutputTokens: 4_000, Concurrency: 2, TokensPerDay: 1_000_000, CacheBytes: 16 << 20, Failures: 5, Pause: time.Minute, Now: time.Now}
}

func (o *Options) setDefaults() {
	d := DefaultOptions()
	o.CallTimeout, o.Timeout = cmp.Or(o.CallTimeout, d.CallTimeout), cmp.Or(o.Timeout, d.Timeout)
	o.InputTokens, o.OutputTokens = cmp.Or(o.InputTokens, d.InputTokens), cmp.Or(o.OutputTokens, d.OutputTokens)
	o.Concurrency, o.TokensPerDay, o.CacheBytes = cmp.Or(o.Concurrency, d.Concurrency), cmp.Or(o.TokensPerDay, d.TokensPerDay), cmp.Or(o.CacheBytes, d.CacheBytes)
	o.Failures, o.Pause = cmp.Or(o.Failures, d.Failures), cmp.Or(o.Pause, d.Pause)
	if o.Log.GetSink() == nil {
		o.Log = logr.Discard()
	}
	if o.Now == nil {
		o.Now = d.Now
	}
}

func (o *Options) validate() error {
	switch {
	case o.Model == "":
		return errors.New("no model is set: give --narrator-model, the name that the server of --narrator-url has for it")
	case o.CallTimeout < 0 || o.Timeout < 0 || o.InputTokens < 0 || o.OutputTokens < 0 || o.Concurrency < 0 || o.TokensPerDay < 0 || o.CacheBytes < 0 || o.Failures < 0 || o.Pause < 0:
		return errors.New("limits of the narrator: none can be negative")
	}
	if o.TokenFile == "" {
		return nil
	}
	if _, err := credential.TokenFile(o.TokenFile); err != nil {
		return fmt.Errorf("%w: %w", errNoToken, err)
	}
	return nil
}
