package postgres

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	. "github.com/onsi/gomega"
	"golang.org/x/sync/errgroup"

	"github.com/holdfast-dev/holdfast/models"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/relay"
)

func posting(t *testing.T, id, subject string) models.Row {
	t.Helper()
	text := fmt.Sprintf(`{"id":%q,"notification_requested_at":"2026-11-23T04:05:06Z","remediation_id":"r","subject":%q}`, id, subject)
	row, err := models.ProjectPosted(models.TableNotification, []byte(text))
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	*row.Head() = models.Envelope{ID: id, Event: "Posted", RecordedAt: outboxapi.NewTime(start), RecordedBy: "tester", SchemaVersion: 1, Entry: text}
	return row
}

func postings(t *testing.T, n int) []models.Row {
	t.Helper()
	rows := make([]models.Row, n)
	for i := range rows {
		rows[i] = posting(t, uuid.NewString(), fmt.Sprint("subject ", i))
	}
	return rows
}

func notPosted(err error) *NotPostedError {
	var bad *NotPostedError
	errors.As(err, &bad)
	return bad
}

func TestPostIsIdempotentAndAllOrNothing(t *testing.T) {
	g := NewWithT(t)
	url := database(t)
	admin := open(t, url)
	execute(t, admin, "CREATE ROLE poster LOGIN PASSWORD 'sesame' IN ROLE holdfast_writer")
	s := open(t, "postgres://poster:sesame"+url[strings.LastIndex(url, "@"):])
	rows := postings(t, 3)
	g.Expect(s.Post(t.Context(), rows)).To(Equal([]PostOutcome{Posted, Posted, Posted}))
	g.Expect(s.Post(t.Context(), rows)).To(Equal([]PostOutcome{PostedBefore, PostedBefore, PostedBefore}))
	more := postings(t, 2)
	g.Expect(s.Post(t.Context(), []models.Row{more[0], rows[1], more[0]})).To(Equal([]PostOutcome{Posted, PostedBefore, PostedBefore}))

	other := posting(t, rows[2].Head().ID, "another")
	_, err := s.Post(t.Context(), []models.Row{more[1], other, rows[0]})
	g.Expect(notPosted(err)).To(Equal(&NotPostedError{Conflicts: []Misfit{{Index: 1, Reason: "a different record has this id"}}}))
	g.Expect(err).To(MatchError("row 1: a different record has this id"))
	g.Expect(count(t, admin, "notification_audit")).To(Equal(4), "nothing of it")
	g.Expect(s.Post(t.Context(), nil)).To(BeEmpty())
}

func TestPostNamesTheRowsThatTheDatabaseRefuses(t *testing.T) {
	g := NewWithT(t)
	s := open(t, database(t))
	rows := postings(t, 5)
	rows[1].Head().RecordedBy = strings.Repeat("x", 300)
	rows[4].Head().Entry = "\x00"
	_, err := s.Post(t.Context(), rows)
	g.Expect(notPosted(err).Refused).To(HaveExactElements(
		And(HaveField("Index", 1), HaveField("Reason", ContainSubstring("recorded_by has 300 characters, expected at most 255"))), HaveField("Index", 4)))
	g.Expect(count(t, s, "notification_audit")).To(BeZero())
	rows[1].Head().ID = "no uuid"
	_, err = s.Post(t.Context(), rows)
	g.Expect(notPosted(err).Refused).To(HaveExactElements(HaveField("Index", 1)))
	_, err = s.Post(t.Context(), append(postings(t, 1), models.NewRow("execution")))
	g.Expect(err).To(MatchError(ContainSubstring("row 1 is of workflow_execution_audit")))
}

func TestPostDoesNotTakeAnEntrysPlace(t *testing.T) {
	g := NewWithT(t)
	s := open(t, database(t))
	item := notifications(t, 1)[0]
	persist(t, s, []relay.Item{item})
	row, err := RowOf("test", &item.Entry, item.Text)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(s.Post(t.Context(), []models.Row{row})).To(Equal([]PostOutcome{PostedBefore}), "the same entry")
	row.Head().ID = uuid.NewString()
	_, err = s.Post(t.Context(), []models.Row{row})
	g.Expect(notPosted(err).Conflicts).To(HaveExactElements(HaveField("Reason", ContainSubstring("has sequence 1 of "+string(item.Source.UID)))))
}

func TestPostWithoutTables(t *testing.T) {
	g := NewWithT(t)
	url, err := server.CreateDatabase(t.Context(), "store_post_bare")
	g.Expect(err).NotTo(HaveOccurred())
	_, err = open(t, url).Post(t.Context(), postings(t, 1))
	g.Expect(err).To(And(MatchError(relay.ErrSchema), MatchError(ContainSubstring("holdfast migrate up"))))
}

func TestPostingTheSameAtOnceMakesOneRowEach(t *testing.T) {
	g := NewWithT(t)
	url := database(t)
	rows := postings(t, 40)
	var mu sync.Mutex
	fresh := 0
	together, ctx := errgroup.WithContext(t.Context())
	for i := range 6 {
		s := open(t, url)
		mine := append(append([]models.Row{}, rows[i*5:]...), rows[:i*5]...)
		together.Go(func() error {
			outcomes, err := s.Post(ctx, mine)
			mu.Lock()
			defer mu.Unlock()
			for _, o := range outcomes {
				if o == Posted {
					fresh++
				}
			}
			return err
		})
	}
	g.Expect(together.Wait()).To(Succeed())
	g.Expect(fresh).To(Equal(40))
}
