package outbox

import (
	"errors"
	"fmt"
	"regexp"
	"time"
	"unicode/utf8"

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
	if err := validate(s, &c); err != nil {
		return nil, 0, err
	}
	next := o.DeepCopy()
	if next == nil {
		next = &outboxapi.Outbox{}
	}
	if next.Closed {
		return nil, 0, fmt.Errorf("%w: the record of %s ended with entry %d; %s cannot be appended", ErrClosed, s, next.LastSequence, c.Event)
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

// push appends a text, whose hash becomes the head.
func push(o *outboxapi.Outbox, text outboxapi.Entry, hash string, final bool) {
	o.SetEntries(append(o.Entries, text))
	o.LastSequence++
	o.HeadHash, o.Closed = hash, final
}

func validate(s Source, c *Change) error {
	switch {
	case s.UID == "" || s.Name == "":
		return fmt.Errorf("%w: source is %q/%q with uid %q, expected a resource that the API server has created", ErrInvalid, s.Namespace, s.Name, s.UID)
	case !KnownKind(c.Kind):
		return fmt.Errorf("%w: kind is %q, expected orchestration, ai-decision, execution, notification, or a name with a group as in backups.example.com", ErrInvalid, c.Kind)
	case !camelCase.MatchString(c.Event) || len(c.Event) > 64:
		return fmt.Errorf("%w: event is %q, expected CamelCase of at most 64 characters", ErrInvalid, c.Event)
	case !utf8.ValidString(c.Phase) || len(c.Phase) > 50:
		return fmt.Errorf("%w: phase is %q, expected at most 50 characters", ErrInvalid, c.Phase)
	case c.Traceparent != "" && !ValidTraceparent(c.Traceparent):
		return fmt.Errorf("%w: traceparent is %q, expected a W3C traceparent of version 00", ErrInvalid, c.Traceparent)
	}
	return nil
}
