package gateway

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/holdfast-dev/holdfast/internal/serving/httpapi"
	"github.com/holdfast-dev/holdfast/outbox"
)

// payloadVersion is the version of the webhook's messages. Alertmanager has sent this one since 0.6.
const payloadVersion = "4"

// message is what Alertmanager posts. Alerts are read one by one, so that a bad one spoils no other.
type message struct {
	Version         string    `json:"version"`
	Receiver        string    `json:"receiver"`
	GroupKey        string    `json:"groupKey"`
	TruncatedAlerts uint64    `json:"truncatedAlerts"`
	Alerts          rawAlerts `json:"alerts"`
}

const (
	// maxAlerts bounds the alerts of a message. Each has an outcome in memory and in the answer, also one of two bytes.
	maxAlerts = 20_000
	// maxAlert bounds an alert, in bytes: a map of small labels takes twenty times its text.
	maxAlert = 256 << 10
)

// rawAlerts are the alerts of a message, undecoded.
type rawAlerts []json.RawMessage

var errManyAlerts = errors.New("too many alerts")

// UnmarshalJSON implements json.Unmarshaler. It stops at maxAlerts.
func (a *rawAlerts) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		return nil
	}
	if text[0] != '[' {
		var plain []json.RawMessage
		return json.Unmarshal(text, &plain) // says what it is instead
	}
	*a = rawAlerts{}
	d := json.NewDecoder(bytes.NewReader(text))
	_, err := d.Token()
	for err == nil && d.More() {
		if len(*a) == maxAlerts {
			return errManyAlerts
		}
		var one json.RawMessage
		err = d.Decode(&one)
		*a = append(*a, one)
	}
	return err
}

// alert is one of a message. EndsAt is not read: it is the year 1 or a guess while the alert fires.
type alert struct {
	Status       string            `json:"status"`
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	GeneratorURL string            `json:"generatorURL"`
	Fingerprint  string            `json:"fingerprint"`
}

const (
	firing   = "firing"
	resolved = "resolved"
)

// bodyOf reads at most limit bytes of a body, which may be compressed. Alertmanager sends again only what was answered 5xx, so a body that came too slowly is 503.
func bodyOf(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, *httpapi.Problem) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, httpapi.NewProblem(http.StatusUnsupportedMediaType, "Content-Type is %q, expected application/json", outbox.Bound(r.Header.Get("Content-Type"), 100))
	}
	reader := io.Reader(http.MaxBytesReader(w, r.Body, limit))
	switch encoding := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding"))); encoding {
	case "", "identity":
	case "gzip":
		plain, err := gzip.NewReader(reader)
		if err != nil {
			return nil, unreadable(err, limit)
		}
		reader = plain
	default:
		return nil, httpapi.NewProblem(http.StatusUnsupportedMediaType, "Content-Encoding is %q, expected gzip or none", outbox.Bound(encoding, 100))
	}
	body, err := io.ReadAll(io.LimitReader(reader, limit+1))
	if err != nil {
		return nil, unreadable(err, limit)
	}
	if int64(len(body)) > limit {
		return nil, tooLarge(limit)
	}
	return body, nil
}

func unreadable(err error, limit int64) *httpapi.Problem {
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return tooLarge(limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return httpapi.NewProblem(http.StatusServiceUnavailable, "the body did not arrive in time; send it again").Later(httpapi.Overload)
	}
	return httpapi.NewProblem(http.StatusBadRequest, "the body cannot be read: %s; send the whole message, compressed with gzip or not at all", err)
}

func tooLarge(limit int64) *httpapi.Problem {
	return httpapi.NewProblem(http.StatusRequestEntityTooLarge,
		"the body has more than %d bytes; set max_alerts in Alertmanager's webhook_configs, group by more labels, or raise --max-body-bytes", limit)
}

// readMessage decodes a message. It does not look at the alerts.
func readMessage(body []byte) (*message, *httpapi.Problem) {
	m := &message{}
	err := json.Unmarshal(body, m)
	switch {
	case errors.Is(err, errManyAlerts):
		return nil, httpapi.NewProblem(http.StatusRequestEntityTooLarge, "the body has more than %d alerts; set max_alerts in Alertmanager's webhook_configs, or group by more labels", maxAlerts)
	case err != nil:
		return nil, httpapi.NewProblem(http.StatusBadRequest, "the body is no message of Alertmanager: %s", jsonFault(err))
	case m.Version == "":
		return nil, httpapi.NewProblem(http.StatusBadRequest, `the body has no "version", expected a message of Alertmanager's webhook, version %q`, payloadVersion)
	case m.Version != payloadVersion:
		return nil, httpapi.NewProblem(http.StatusUnprocessableEntity, `"version" is %q, expected %q, the version of Alertmanager's webhook; other senders need Alertmanager in between`, outbox.Bound(m.Version, 50), payloadVersion)
	case m.Alerts == nil:
		return nil, httpapi.NewProblem(http.StatusBadRequest, `the body has no "alerts", expected a list; it may be empty`)
	}
	return m, nil
}

// readAlert decodes one alert, or says what is wrong with it.
func readAlert(text []byte) (*alert, *leftOut) {
	a := &alert{}
	if len(text) > maxAlert {
		return nil, leave(malformed, "the alert has %d bytes, expected at most %d", len(text), maxAlert)
	}
	if err := json.Unmarshal(text, a); err != nil {
		return nil, leave(malformed, "the alert cannot be read: %s", jsonFault(err))
	}
	switch {
	case a.Status != firing && a.Status != resolved:
		return nil, leave(malformed, `"status" is %q, expected firing or resolved`, outbox.Bound(a.Status, 50))
	case len(a.Labels) == 0:
		return nil, leave(malformed, `"labels" is empty, expected at least alertname, namespace and the label of a workload`)
	case a.StartsAt.IsZero():
		return nil, leave(malformed, `"startsAt" is missing, expected a time in RFC 3339`)
	}
	return a, nil
}

// jsonFault is what was wrong, without parts of the body beyond a few bytes.
func jsonFault(err error) string {
	var (
		syntax *json.SyntaxError
		kind   *json.UnmarshalTypeError
		moment *time.ParseError
	)
	switch {
	case errors.As(err, &syntax):
		return fmt.Sprintf("byte %d: %s", syntax.Offset, syntax.Error())
	case errors.As(err, &kind):
		return fmt.Sprintf("%q is a JSON %s, expected %s", kind.Field, kind.Value, expectedType(kind))
	case errors.As(err, &moment):
		return fmt.Sprintf("%q is no time, expected one in RFC 3339, as in 2026-11-23T04:05:06.789Z", outbox.Bound(strings.Trim(moment.Value, `"`), 100))
	}
	return outbox.Bound(err.Error(), 200)
}

func expectedType(err *json.UnmarshalTypeError) string {
	switch err.Type.Kind().String() {
	case "map", "struct":
		return "an object"
	case "slice":
		return "a list"
	case "uint64":
		return "a number"
	}
	return "a text"
}
