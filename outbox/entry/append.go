package entry

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

var (
	// ErrInvalid says that a change breaks a rule of the envelope or of records. Retrying cannot help.
	ErrInvalid = errors.New("invalid audit entry")
	// ErrTooLarge says that one entry exceeds the entry limit. Retrying cannot help.
	ErrTooLarge = errors.New("audit entry too large")
	// ErrClosed says that the record has ended.
	ErrClosed = errors.New("outbox is closed")
	// ErrFull says that the pending entries leave no room; wait until the relay has trimmed.
	ErrFull = errors.New("outbox is full")
)

// Kinds of the entries of Holdfast's own resources. All others carry a group.
const (
	KindOrchestration = "orchestration"
	KindAIDecision    = "ai-decision"
	KindExecution     = "execution"
	KindNotification  = "notification"
)

var (
	groupedKind = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+$`)
	camelCase   = regexp.MustCompile(`^[A-Z][A-Za-z0-9]*$`)
	// https://www.w3.org/TR/trace-context/#traceparent-header-field-values, version 00
	traceparent = regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)
)

// KnownKind reports whether an entry may be of this kind: one of the four above, or a name with a group (backups.example.com).
func KnownKind(kind string) bool {
	switch kind {
	case KindOrchestration, KindAIDecision, KindExecution, KindNotification:
		return true
	}
	return len(kind) <= 253 && groupedKind.MatchString(kind)
}

// ValidTraceparent reports whether s is a W3C traceparent of version 00.
func ValidTraceparent(s string) bool { return traceparent.MatchString(s) }

// Append returns the outbox with one entry more; o, which may be nil, stays as it is. It is pure: the same arguments give the same text.
// repaired counts the places in the record's texts that became U+FFFD (see Change.Record). Errors: ErrInvalid, ErrTooLarge, ErrClosed, ErrFull.
func Append(o *outboxapi.Outbox, s Source, c Change, now time.Time, salt Salt, l Limits) (_ *outboxapi.Outbox, repaired int, _ error) {
	if s.UID == "" || s.Name == "" {
		return nil, 0, fmt.Errorf("%w: source is %q/%q with uid %q, expected a resource that the API server has created", ErrInvalid, s.Namespace, s.Name, s.UID)
	}
	next := o.DeepCopy()
	if next == nil {
		next = &outboxapi.Outbox{}
	}
	if err := appendable(next, s, &c); err != nil {
		return nil, 0, err
	}
	record, repaired, err := canonicalRecord(c.Record)
	if err != nil {
		return nil, 0, fmt.Errorf("%s of %s: %w", c.Event, s, err)
	}
	if err := refuseNested(record); err != nil {
		return nil, 0, fmt.Errorf("%s of %s: %w", c.Event, s, err)
	}
	e := Entry{
		ID:            ID(s.UID, s.Created, next.LastSequence+1),
		Sequence:      next.LastSequence + 1,
		Kind:          c.Kind,
		Event:         c.Event,
		Phase:         c.Phase,
		RecordedTime:  outboxapi.NewTime(now),
		SchemaVersion: SchemaVersion,
		Final:         c.Final,
		Traceparent:   c.Traceparent,
		Source:        s,
		Salt:          salt.String(),
		Record:        record,
		PreviousHash:  next.HeadHash,
	}
	if err := e.checkWhat(); err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	text, err := e.Encode()
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := l.fits(next.Entries, &e, text); err != nil {
		return nil, 0, err
	}
	push(next, outboxapi.Entry(text), Hash(text), c.Final)
	return next, repaired, nil
}

// appendable reports what keeps an entry from following. A header that no Append wrote cannot be gone on from: `holdfast release` frees such a resource.
func appendable(o *outboxapi.Outbox, s Source, c *Change) error {
	switch {
	case o.Closed:
		return fmt.Errorf("%w: the record of %s ended with entry %d; %s cannot be appended", ErrClosed, s, o.LastSequence, c.Event)
	case o.LastSequence < 0 || o.LastSequence >= maxSequence:
		return fmt.Errorf("%w: lastSequence of %s is %d, expected 0 to %d before an entry", ErrInvalid, s, o.LastSequence, int64(maxSequence-1))
	case o.HeadHash == "" && o.LastSequence > 0 || o.HeadHash != "" && !validHash(o.HeadHash):
		return fmt.Errorf("%w: headHash of %s is %.80q at entry %d, expected 64 lowercase hex digits, or nothing before the first entry", ErrInvalid, s, o.HeadHash, o.LastSequence)
	}
	return nil
}

// push appends a text, whose hash becomes the head.
func push(o *outboxapi.Outbox, text outboxapi.Entry, hash string, final bool) {
	o.SetEntries(append(placed(o), text))
	o.LastSequence++
	o.HeadHash, o.Closed = hash, final
}

// Repeat appends the newest entry of from, which Append made, to an outbox with the same head before it. The outbox may have been trimmed since.
func Repeat(to, from *outboxapi.Outbox) {
	push(to, from.Entries[len(from.Entries)-1], from.HeadHash, from.Closed)
}
