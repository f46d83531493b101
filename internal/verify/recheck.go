package verify

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/holdfast-dev/holdfast/postgres"
)

// suspect is a chain whose end does not fit what was live when the check began. It may be that the world moved on.
type suspect struct {
	kind   string
	newest Finding
	hashes place
}

// endChain looks at the chain's end: is it final, and does it fit the live resource?
func (v *verifier) endChain() {
	c := v.chain
	if c == nil {
		return
	}
	c.endPlace()
	v.chain = nil
	newest := c.place.members[len(c.place.members)-1]
	if !c.place.final() {
		v.report.Unfinished++
	}
	if v.live != nil && newest.at.Cluster == v.options.Cluster && !v.live.Knows(newest.kind) {
		v.notCompared[newest.kind] = true
	}
	if c.expected != nil {
		c.expected.met = true
		if c.place.sequence < c.expected.PersistedSequence {
			v.lost(newest.at, c.place.sequence+1, c.expected.PersistedSequence)
		}
		if c.place.sequence > c.expected.LastSequence {
			v.suspects = append(v.suspects, suspect{kind: newest.kind, newest: newest.at, hashes: *c.place})
		}
		return
	}
	if c.place.final() {
		return
	}
	switch {
	case v.live == nil:
		v.report.Unchecked++
	case newest.at.Cluster != v.options.Cluster:
		v.report.Unchecked++
		v.otherClusters[newest.at.Cluster]++
	case !v.live.Knows(newest.kind):
		v.report.Unchecked++
		v.kinds[newest.kind]++
	default:
		v.suspects = append(v.suspects, suspect{kind: newest.kind, newest: newest.at, hashes: *c.place})
	}
}

// unseen are live resources that have acknowledged entries, but no row at all.
func (v *verifier) unseen() {
	for uid, r := range v.expected {
		if !r.met && r.PersistedSequence > 0 {
			v.lost(Finding{Cluster: v.options.Cluster, Namespace: r.Namespace, Name: r.Name, UID: uid}, 1, r.PersistedSequence)
		}
	}
}

func (v *verifier) lost(at Finding, from, to int64) {
	at = at.and(span(from, to))
	at.Table, at.ID, at.Sequence = "", "", from
	at.Problem, at.Detail = Missing, fmt.Sprintf("%s: the live resource shows them as persisted, but there is no row and no dead letter; "+
		"check whether the database was restored to an older state, and recover them from another backup or a file of `holdfast export`", entries(from, to))
	v.tell(at)
}

// recheck looks at the suspects again: first at the resource, then at the rows, since a resource goes only after its last row is there.
func (v *verifier) recheck(ctx context.Context) error {
	failed := 0
	for _, s := range v.suspects {
		if impossible(s.newest.Namespace, s.newest.Name) {
			at := s.newest
			at.Problem, at.Detail = Invented, fmt.Sprintf("namespace %.64q and name %.64q are not valid in Kubernetes, so no resource had them", at.Namespace, at.Name)
			v.tell(at)
			continue
		}
		now, err := v.live.Get(ctx, s.kind, s.newest.Namespace, s.newest.Name)
		if err != nil { // what is behind it is looked at all the same, unless nothing answers any more
			if failed++; ctx.Err() != nil || failed > maxFailed {
				return fmt.Errorf("reread %s/%s: %w", s.newest.Namespace, s.newest.Name, err)
			}
			v.notCompared[fmt.Sprintf("%s %s/%s (%v)", s.kind, s.newest.Namespace, s.newest.Name, err)] = true
			continue
		}
		failed = 0
		if now != nil && now.UID == s.newest.UID {
			v.beyondHead(s, now)
			continue
		}
		final, err := v.finalNow(ctx, s.newest.UID)
		if err != nil {
			return err
		}
		if !final {
			at := s.newest
			at.Problem, at.Detail = Unfinished, "the resource is gone, but its newest entry is not final; later changes were not audited or not drained"
			v.tell(at)
		}
	}
	return nil
}

// maxFailed is how many reads may fail one after the other before the check is given up.
const maxFailed = 5

// impossible reports whether a namespace or a name is none that Kubernetes takes: whoever writes rows may have put anything there.
func impossible(namespace, name string) bool {
	return len(validation.IsDNS1123Subdomain(name)) > 0 || namespace != "" && len(validation.IsDNS1123Label(namespace)) > 0
}

// beyondHead finds entries that the resource never appended. It has gone on since the rows were read, so it must have reached them.
func (v *verifier) beyondHead(s suspect, now *Resource) {
	at := s.newest
	switch hash, ok := now.hashAt(at.Sequence); {
	case at.Sequence > now.LastSequence:
		at.Problem, at.Detail = Invented, fmt.Sprintf("the newest entry of the live resource is %d; the row was forged, or etcd was restored from a backup", now.LastSequence)
		v.tell(at)
	case ok && !s.hashes.has(hash):
		at.Problem, at.Detail = Diverged, fmt.Sprintf("the live resource has hash %s at this sequence", short(hash))
		v.tell(at.and(hash))
	}
}

// finalNow reads a chain again and reports whether it has its end by now.
func (v *verifier) finalNow(ctx context.Context, uid string) (final bool, _ error) {
	again := &chain{v: &verifier{store: v.store, found: func(Finding) {}, acknowledged: newAcknowledgements(nil)}, uid: uid}
	err := v.store.Read(ctx, uid, func(e *postgres.Stored) error {
		m, err := again.examine(e)
		final = final || m.final
		return err
	})
	return final, err
}
