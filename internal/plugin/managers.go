package plugin

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-dev/holdfast/shard"
)

// manager is a lease that managers of the same work compete for.
type manager struct {
	Lease  string `json:"lease"`
	Holder string `json:"holder,omitempty"`
	// Active: somebody holds the lease and has renewed it in time.
	Active bool `json:"active"`
	// Shard is INDEX-of-TOTAL; "" is all resources.
	Shard string `json:"shard,omitempty"`
	// Namespaces that its managers are restricted to; none: all, or a list too long for the lease's name.
	Namespaces []string   `json:"namespaces,omitempty"`
	RenewTime  *time.Time `json:"renewTime,omitempty"`
	// AcquireTime is when the holder got the lease.
	AcquireTime *time.Time `json:"acquireTime,omitempty"`

	shard shard.Shard
}

func (m *manager) acquired() time.Time {
	if m.AcquireTime == nil {
		return time.Time{}
	}
	return *m.AcquireTime
}

// leaseName is how managers name their lease, see docs/operations.md.
var leaseName = regexp.MustCompile(`^holdfast-manager(?:-([0-9]{1,5})-of-([0-9]{1,5}))?(?:\.(.+))?$`)

// hashedNamespaces stands in a lease's name for namespaces that are too many for it.
var hashedNamespaces = regexp.MustCompile(`^[0-9a-f]{16}$`)

// managers are the leases of Holdfast's managers. Managers with a name of their own (--leader-elect-id), and those without leader election, have none that is known here.
func (c *cluster) managers(ctx context.Context, now time.Time) ([]manager, error) {
	return c.managersIn(ctx, c.system, now)
}

func (c *cluster) managersIn(ctx context.Context, namespace string, now time.Time) ([]manager, error) {
	if err := c.connect(); err != nil {
		return nil, err
	}
	leases, err := c.clientset.CoordinationV1().Leases(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list leases in %s: %w", namespace, err)
	}
	all := []manager{}
	for i := range leases.Items {
		if m, ok := managerOf(&leases.Items[i], now); ok {
			all = append(all, m)
		}
	}
	slices.SortFunc(all, func(a, b manager) int { return strings.Compare(a.Lease, b.Lease) })
	return all, nil
}

func managerOf(l *coordinationv1.Lease, now time.Time) (manager, bool) {
	parts := leaseName.FindStringSubmatch(l.Name)
	if parts == nil {
		return manager{}, false
	}
	m := manager{Lease: l.Name}
	if parts[2] != "" {
		m.Shard = parts[1] + "-of-" + parts[2]
		m.shard.Index, _ = strconv.Atoi(parts[1])
		m.shard.Total, _ = strconv.Atoi(parts[2])
	}
	if parts[3] != "" && !hashedNamespaces.MatchString(parts[3]) {
		m.Namespaces = strings.Split(parts[3], ".")
	}
	if h := l.Spec.HolderIdentity; h != nil {
		m.Holder = *h
	}
	if l.Spec.AcquireTime != nil {
		m.AcquireTime = &l.Spec.AcquireTime.Time
	}
	if l.Spec.RenewTime != nil {
		m.RenewTime = &l.Spec.RenewTime.Time
		valid := 15 * time.Second
		if d := l.Spec.LeaseDurationSeconds; d != nil {
			valid = time.Duration(*d) * time.Second
		}
		m.Active = m.Holder != "" && now.Sub(*m.RenewTime) < valid
	}
	return m, true
}

// covers reports whether the managers of a lease look after a resource with that shard key.
func (m *manager) covers(namespace, key string) bool {
	return (len(m.Namespaces) == 0 || slices.Contains(m.Namespaces, namespace)) && m.shard.Owns(key)
}

// attended says who looks after a resource: whether an active manager does, and the shard that it is in if there are shards.
func attended(all []manager, namespace, uidKey string) (active bool, shardName string) {
	total := 0
	for i := range all {
		m := &all[i]
		total = max(total, m.shard.Total)
		// Managers shard by uid or by namespace, and a lease does not say by which.
		if m.Active && (m.covers(namespace, uidKey) || m.covers(namespace, namespace)) {
			active = true
		}
	}
	for i := range total {
		if s := (shard.Shard{Index: i, Total: total}); total > 1 && s.Owns(uidKey) {
			shardName = s.String()
		}
	}
	return active, shardName
}

// gaps name the leases that somebody should hold and nobody does. A lease of another number of shards, which managers had before, is none of them.
func gaps(all []manager) []string {
	present, totals, active := map[string]bool{}, map[int]bool{}, false
	for i := range all {
		m := &all[i]
		present[m.Lease] = true
		if m.Active {
			active = true
			totals[m.shard.Total] = true
		}
		if m.Active && m.shard.Whole() && m.Lease == baseLease {
			return nil // it looks after everything
		}
	}
	var missing []string
	for i := range all {
		if m := &all[i]; !m.Active && (!active || totals[m.shard.Total]) {
			missing = append(missing, m.Lease)
		}
	}
	for total := range totals {
		for i := range total {
			name := fmt.Sprintf("%s-%d-of-%d", baseLease, i, total)
			if namespaced := slices.ContainsFunc(all, func(m manager) bool { return strings.HasPrefix(m.Lease, name+".") }); !present[name] && !namespaced {
				missing = append(missing, name)
			}
		}
	}
	slices.Sort(missing)
	return missing
}

// baseLease is the lease of managers that look after everything.
const baseLease = "holdfast-manager"

// storeState is what the relay's Events say of the store. An API server keeps Events for an hour.
type storeState struct {
	// Breaker is open, closed or unknown: no Event tells.
	Breaker string `json:"breaker"`
	// Since is when the newest Event came, Reason what it says.
	Since  *time.Time `json:"since,omitempty"`
	Reason string     `json:"reason,omitempty"`
}

const (
	breakerOpen    = "open"
	breakerClosed  = "closed"
	breakerUnknown = "unknown"
)

// outlived forgets that the breaker was open where that is over: an entry was persisted since, or every manager that works now began later. A manager that stops does not say that it stops to wait.
func (s *storeState) outlived(managers []manager, persisted time.Time) {
	if s.Breaker != breakerOpen {
		return
	}
	if persisted.After(*s.Since) {
		*s = storeState{Breaker: breakerClosed, Since: &persisted}
		return
	}
	active, earlier := false, false
	for i := range managers {
		active = active || managers[i].Active
		earlier = earlier || managers[i].Active && !managers[i].acquired().After(*s.Since)
	}
	if active && !earlier {
		*s = storeState{Breaker: breakerUnknown}
	}
}

func (c *cluster) store(ctx context.Context) (storeState, error) {
	state := storeState{Breaker: breakerUnknown}
	for _, namespace := range slices.Compact([]string{c.system, metav1.NamespaceDefault}) { // without POD_NAME a manager's Events are on the Namespace default
		for reason, breaker := range map[string]string{"StoreUnavailable": breakerOpen, "StoreReachable": breakerClosed} {
			events, err := c.clientset.EventsV1().Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: "reason=" + reason})
			if err != nil {
				return state, fmt.Errorf("list Events in %s: %w", namespace, err)
			}
			for i := range events.Items {
				e := &events.Items[i]
				if e.ReportingController != "holdfast-relay" {
					continue
				}
				if at := eventTime(e); state.Since == nil || at.After(*state.Since) {
					state = storeState{Breaker: breaker, Since: &at, Reason: e.Note}
				}
			}
		}
	}
	return state, nil
}

// eventTime is when an Event was observed last.
func eventTime(e *eventsv1.Event) time.Time {
	if e.Series != nil {
		return e.Series.LastObservedTime.Time
	}
	if !e.EventTime.IsZero() {
		return e.EventTime.Time
	}
	return e.DeprecatedLastTimestamp.Time
}
