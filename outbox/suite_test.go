package outbox_test

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/outbox"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

var env *testenv.Env

func TestMain(m *testing.M) { os.Exit(testenv.MainWithoutFinalizerPolicy(m, &env)) }

// acknowledged is a relay's memory without the relay.
type acknowledged struct {
	mu sync.Mutex
	by map[types.UID]entry.Watermark
	// limits are the default's if they are zero.
	limits outbox.Limits
}

func (a *acknowledged) Limits() outbox.Limits {
	if a.limits == (outbox.Limits{}) {
		return outbox.DefaultLimits()
	}
	return a.limits
}

func (a *acknowledged) Watermark(uid types.UID) entry.Watermark {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.by[uid]
}

func (a *acknowledged) set(uid types.UID, w entry.Watermark) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.by == nil {
		a.by = map[types.UID]entry.Watermark{}
	}
	a.by[uid] = w
}

var ctx = context.Background()

// now is when stores acknowledge, and when entries are made that no Writer makes.
var now = time.Date(2026, 11, 23, 4, 6, 6, 123456789, time.UTC)

// elsewhere is a kind whose outbox is not where it should be.
type elsewhere struct{ v1alpha1.NotificationRequest }

func (*elsewhere) OutboxStatus() (*outboxapi.Status, *[]metav1.Condition) { return nil, nil }
