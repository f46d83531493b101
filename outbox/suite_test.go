package outbox_test

import (
	"context"
	"os"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/outbox"
)

var env *testenv.Env

func TestMain(m *testing.M) { os.Exit(testenv.MainWithoutFinalizerPolicy(m, &env)) }

// acknowledged is a relay's memory without the relay.
type acknowledged struct {
	mu sync.Mutex
	by map[types.UID]outbox.Watermark
}

func (a *acknowledged) Watermark(uid types.UID) outbox.Watermark {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.by[uid]
}

func (a *acknowledged) set(uid types.UID, w outbox.Watermark) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.by == nil {
		a.by = map[types.UID]outbox.Watermark{}
	}
	a.by[uid] = w
}

var ctx = context.Background()
