package verify

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/outbox"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/postgres"
	"github.com/holdfast-dev/holdfast/relay"
)

// drained acknowledges whatever it was told.
type drained map[types.UID]entry.Watermark

func (d drained) Watermark(uid types.UID) entry.Watermark { return d[uid] }

func (drained) Limits() outbox.Limits { return outbox.DefaultLimits() }

// scene is a resource, and a store that is drained into by hand: a step at a time.
type scene struct {
	t      *testing.T
	store  *postgres.Store
	marks  drained
	writer *outbox.Writer
	obj    *v1alpha1.NotificationRequest
	i      int
}

func newScene(t *testing.T, s *postgres.Store) *scene {
	t.Helper()
	g := NewWithT(t)
	obj := testenv.MakeNotification(env.Namespace(t.Context(), "verify"), "cart").Obj()
	g.Expect(env.Client.Create(t.Context(), obj)).To(Succeed())
	marks := drained{}
	made := &scene{t: t, store: s, marks: marks, obj: obj, writer: outbox.NewWriter(env.Client, env.Client, marks)}
	t.Cleanup(made.remove)
	return made
}

func (s *scene) append(n int, final bool) *scene {
	s.t.Helper()
	for i := range n {
		g := NewWithT(s.t)
		g.Expect(env.Client.Get(s.t.Context(), client.ObjectKeyFromObject(s.obj), s.obj)).To(Succeed())
		g.Expect(s.writer.Draft(s.obj).Save(s.t.Context(), &entry.Change{Kind: entry.KindNotification, Event: "Changed", Phase: "Sending", Record: record(entry.KindNotification, s.i), Final: final && i == n-1})).To(Succeed())
		s.i++
	}
	return s
}

// drain makes everything durable; the next append acknowledges it.
func (s *scene) drain() *scene {
	s.t.Helper()
	source := entry.SourceOf(s.obj)
	persist(s.t, s.store, relay.NewItems(source, "", entry.PendingOf(source.UID, s.obj.Status.Outbox)))
	o := s.obj.Status.Outbox
	s.marks[s.obj.UID] = entry.Watermark{Sequence: o.LastSequence, Hash: o.HeadHash, Time: start}
	return s
}

// vanish takes the finalizer away by force.
func (s *scene) vanish() *scene {
	s.t.Helper()
	g := NewWithT(s.t)
	g.Expect(env.Vanish(s.t.Context(), s.obj)).To(Succeed())
	return s
}

// remove keeps the manager of another test from draining the rest of this one's entries into a database where the first are not.
func (s *scene) remove() {
	_ = env.Vanish(context.WithoutCancel(s.t.Context()), s.obj)
}

func (s *scene) look() (Report, []string) {
	s.t.Helper()
	return s.lookInto(s.store)
}

// lookInto sees this scene's resource only: other tests have theirs in the same cluster, but rows elsewhere.
func (s *scene) lookInto(in *postgres.Store) (Report, []string) {
	s.t.Helper()
	live, err := Cluster(env.Config, DefaultResources())
	NewWithT(s.t).Expect(err).NotTo(HaveOccurred())
	report, found := check(s.t, in, &only{Live: live, namespace: s.obj.Namespace}, "")
	var lines []string
	for _, f := range found {
		lines = append(lines, fmt.Sprintf("%s %d", f.Problem, f.Sequence))
	}
	return report, lines
}

// only looks at one namespace of a cluster.
type only struct {
	Live
	namespace string
}

func (o *only) List(ctx context.Context) (map[string]*Resource, []string, error) {
	all, notes, err := o.Live.List(ctx)
	for uid, r := range all {
		if r.Namespace != o.namespace {
			delete(all, uid)
		}
	}
	return all, notes, err
}

func TestLiveHeads(t *testing.T) {
	for name, c := range map[string]struct {
		steps  func(*scene)
		tamper string
		want   []string
	}{
		"drained":            {steps: func(s *scene) { s.append(3, false).drain().append(1, false).drain() }},
		"not drained yet":    {steps: func(s *scene) { s.append(3, false) }},
		"half drained":       {steps: func(s *scene) { s.append(3, false).drain().append(2, false) }},
		"closed and drained": {steps: func(s *scene) { s.append(3, true).drain() }},
		"ended and gone":     {steps: func(s *scene) { s.append(3, true).drain().vanish() }},
		"gone before its end": {steps: func(s *scene) { s.append(3, false).drain().vanish() },
			want: []string{"unfinished 3"}},
		"gone, never audited": {steps: func(s *scene) { s.vanish() }},
		"the end is cut off": {steps: func(s *scene) { s.append(3, false).drain().append(1, false).drain() },
			tamper: "DELETE FROM notification_audit WHERE sequence >= 3", want: []string{"missing 3"}},
		"all is gone": {steps: func(s *scene) { s.append(3, false).drain().append(1, false).drain() },
			tamper: "DELETE FROM notification_audit", want: []string{"missing 1"}},
		"the newest entry is rewritten": {steps: func(s *scene) { s.append(3, false).drain() },
			tamper: `UPDATE notification_audit SET subject = 'forged', entry = replace(entry, 'subject 2', 'forged'),
				entry_hash = sha256(convert_to(replace(entry, 'subject 2', 'forged'), 'UTF8')) WHERE sequence = 3`, want: []string{"diverged 3"}},
		"an entry that the resource still holds is rewritten": {steps: func(s *scene) { s.append(3, false).drain() },
			tamper: `UPDATE notification_audit SET entry_hash = sha256(convert_to(replace(entry, 'subject 1', 'forged'), 'UTF8')), entry = replace(entry, 'subject 1', 'forged'),
				subject = 'forged' WHERE sequence = 2`, want: []string{"diverged 2", "broken 3"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			db, _ := newStore(t, "")
			s := newScene(t, db)
			c.steps(s)
			if c.tamper != "" {
				tamper(t, db, c.tamper)
			}
			report, found := s.look()
			g.Expect(found).To(Equal(c.want))
			g.Expect(report.Notes).To(BeEmpty())
		})
	}
}

func TestAForgedContinuation(t *testing.T) {
	g := NewWithT(t)
	db, _ := newStore(t, "")
	s := newScene(t, db).append(2, false).drain()
	source, head := entry.SourceOf(s.obj), s.obj.Status.Outbox.DeepCopy()
	forged, _, err := entry.Append(head, source, entry.Change{Kind: entry.KindNotification, Event: "Forged", Phase: "Sent", Record: record(entry.KindNotification, 9), Final: true}, start, entry.Salt{}, entry.DefaultLimits())
	g.Expect(err).NotTo(HaveOccurred())
	items := relay.NewItems(source, "", entry.PendingOf(source.UID, forged))
	persist(t, db, items[len(items)-1:])
	_, found := s.look()
	g.Expect(found).To(Equal([]string{"invented 3"}))
}

func TestTheWrongDatabase(t *testing.T) {
	g := NewWithT(t)
	db, _ := newStore(t, "")
	s := newScene(t, db).append(2, false).drain().append(1, false)
	empty, _ := newStore(t, "")
	_, found := s.lookInto(empty)
	g.Expect(found).To(Equal([]string{"missing 1"}))
}

// With a name that no row has, every live resource is accused.
func TestAClusterOfWhichThereIsNoRow(t *testing.T) {
	g := NewWithT(t)
	_, url := newStore(t, "")
	s := newScene(t, openStore(t, url, "east")).append(2, false).drain()
	persist(t, openStore(t, url, ""), history(t, source(1), entry.KindNotification, 2, false))
	live, err := Cluster(env.Config, DefaultResources())
	g.Expect(err).NotTo(HaveOccurred())
	notes := func(cluster string) []string {
		report, err := Run(t.Context(), openStore(t, url, cluster), &only{Live: live, namespace: s.obj.Namespace}, Options{Cluster: cluster, OtherClusters: []string{""}}, func(Finding) {})
		g.Expect(err).NotTo(HaveOccurred())
		return report.Notes
	}
	g.Expect(notes("eats")).To(ContainElement(And(ContainSubstring(`no row is of cluster "eats"; the rows are of a manager without --cluster-name, "east"`), ContainSubstring("ignore the findings"))))
	g.Expect(notes("east")).NotTo(ContainElement(ContainSubstring("no row is of cluster")))

	// The first cluster of an empty database.
	_, url = newStore(t, "")
	g.Expect(notes("eats")).To(BeEmpty())
}

// Other clusters' and other operators' records are counted, not accused.
func TestWhatIsNotLookedForIsSaid(t *testing.T) {
	g := NewWithT(t)
	db, url := newStore(t, "")
	persist(t, db, history(t, source(1), "backups.example.com", 2, false))
	elsewhere := openStore(t, url, "elsewhere")
	persist(t, elsewhere, history(t, source(2), entry.KindNotification, 2, false))
	live, err := Cluster(env.Config, DefaultResources())
	g.Expect(err).NotTo(HaveOccurred())
	none := &only{Live: live, namespace: "none"}
	report, found := check(t, db, none, "")
	g.Expect(found).To(BeEmpty())
	g.Expect(report).To(And(HaveField("Unfinished", 2), HaveField("Unchecked", 2)))
	g.Expect(report.Notes).To(ConsistOf(
		And(ContainSubstring(`cluster "elsewhere"`), ContainSubstring("--cluster-name")),
		And(ContainSubstring(`kind "backups.example.com"`), ContainSubstring("--resource"))))

	report, found = check(t, db, none, "elsewhere")
	g.Expect(brief(found)).To(Equal([]string{"unfinished cart-2 2"}))
	g.Expect(report.Unchecked).To(Equal(1))

	// A kind that the cluster does not serve is not gone: nobody can tell.
	resources := DefaultResources()
	g.Expect(resources.Parse("backups.example.com=backups.v1.backups.example.com")).To(Succeed())
	live, err = Cluster(env.Config, resources)
	g.Expect(err).NotTo(HaveOccurred())
	report, found = check(t, db, &only{Live: live, namespace: "none"}, "")
	g.Expect(found).To(BeEmpty())
	g.Expect(report.Notes).To(ContainElement(ContainSubstring("does not serve backups.backups.example.com")))
}

// Whoever writes rows chooses the clusters in them, and people type what is suggested.
func TestSuggestionsAreWordsOfAShell(t *testing.T) {
	g := NewWithT(t)
	const name = `east; echo 'owned' $(id) #`
	db, url := newStore(t, "")
	persist(t, openStore(t, url, name), history(t, source(1), entry.KindNotification, 2, false))
	live, err := Cluster(env.Config, DefaultResources())
	g.Expect(err).NotTo(HaveOccurred())
	report, _ := check(t, db, &only{Live: live, namespace: "none"}, "")
	g.Expect(report.Notes).To(ConsistOf(ContainSubstring(`--other-clusters 'east; echo '\''owned'\'' $(id) #' if`)))
	_, flag, _ := strings.Cut(report.Notes[0], "--other-clusters ")
	flag, _, _ = strings.Cut(flag, " if it is verified")
	said, err := exec.CommandContext(t.Context(), "sh", "-c", "printf '%s\n' "+flag).Output()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(said)).To(Equal(name + "\n"))
}

// Any kind with an outbox in its status can be looked at.
func TestResourcesOfOtherKinds(t *testing.T) {
	g := NewWithT(t)
	resources := Resources{}
	for _, wrong := range []string{"", "backups", "backups.example.com", "backups.example.com=backups", "backups.example.com=backups.v1", "backups=backups.v1.example.com"} {
		g.Expect(resources.Parse(wrong)).To(MatchError(ContainSubstring("expected KIND=RESOURCE.VERSION.GROUP")), wrong)
	}
	g.Expect(resources.Parse("notices.example.com=notificationrequests.v1alpha1.holdfast.dev")).To(Succeed())
	g.Expect(resources).To(HaveKeyWithValue("notices.example.com", schema.GroupVersionResource{Group: "holdfast.dev", Version: "v1alpha1", Resource: "notificationrequests"}))
}

func TestAClusterThatRefuses(t *testing.T) {
	g := NewWithT(t)
	db, _ := newStore(t, "")
	nobody := rest.CopyConfig(env.Config)
	nobody.Impersonate = rest.ImpersonationConfig{UserName: "nobody"}
	live, err := Cluster(nobody, DefaultResources())
	g.Expect(err).NotTo(HaveOccurred())
	_, err = Run(t.Context(), db, live, Options{}, func(Finding) {})
	g.Expect(err).To(MatchError(ContainSubstring("forbidden")))
}

// While a manager drains, trims and releases, and resources come and go, nothing that verify sees is a finding.
func TestBesideAManager(t *testing.T) {
	g := NewWithT(t)
	var writer *outbox.Writer
	stop, err := env.StartManager(func(_ ctrl.Manager, w *outbox.Writer) error {
		writer = w
		return nil
	})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { _ = stop() })
	db := openStore(t, env.DatabaseURL, "")
	namespace := env.Namespace(t.Context(), "busy")
	live, err := Cluster(env.Config, DefaultResources())
	g.Expect(err).NotTo(HaveOccurred())

	working, ctx := errgroup.WithContext(t.Context())
	for w := range 4 {
		working.Go(func() error {
			for n := range 6 {
				obj := testenv.MakeNotification(namespace, fmt.Sprintf("cart-%d-%d", w, n)).Obj()
				if err := env.Client.Create(ctx, obj); err != nil {
					return err
				}
				for i := range 5 {
					for {
						if err := env.Client.Get(ctx, client.ObjectKeyFromObject(obj), obj); err != nil {
							return err
						}
						err := writer.Draft(obj).Save(ctx, &entry.Change{Kind: entry.KindNotification, Event: "Changed", Phase: "Sending", Record: record(entry.KindNotification, i), Final: i == 4})
						if err == nil {
							break
						}
						if !apierrors.IsConflict(err) {
							return err
						}
					}
				}
				if err := env.Client.Delete(ctx, obj); err != nil {
					return err
				}
			}
			return nil
		})
	}
	done := make(chan error, 1)
	go func() { done <- working.Wait() }()
	checks := 0
	for finished := false; !finished; checks++ {
		select {
		case err := <-done:
			g.Expect(err).NotTo(HaveOccurred())
			finished = true
		default:
		}
		_, found := check(t, db, &only{Live: live, namespace: namespace}, "")
		g.Expect(found).To(BeEmpty())
	}
	g.Expect(checks).To(BeNumerically(">", 1))
	g.Eventually(func(g Gomega) {
		report, found := check(t, db, &only{Live: live, namespace: namespace}, "")
		g.Expect(found).To(BeEmpty())
		g.Expect(report).To(And(HaveField("Chains", 24), HaveField("Entries", 120), HaveField("Unfinished", 0), HaveField("Live", 0)))
	}).WithTimeout(testenv.Timeout).Should(Succeed())
}

func TestAReportIsJSON(t *testing.T) {
	g := NewWithT(t)
	raw, err := json.Marshal(Finding{Problem: Column, Table: "notification_audit", Sequence: 3, Detail: "x"})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(raw).To(MatchJSON(`{"problem":"column","table":"notification_audit","sequence":3,"detail":"x"}`))
}
