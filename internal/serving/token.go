package serving

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// Bearer is the token of a request's Authorization header (RFC 6750); "" without one. Two headers are none, since it would be unclear who is meant.
func Bearer(r *http.Request) string {
	headers := r.Header.Values("Authorization")
	if len(headers) != 1 {
		return ""
	}
	scheme, token, _ := strings.Cut(strings.TrimSpace(headers[0]), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// tokenKey stands for a token in the caches: HMAC-SHA-256, under a key that nobody else has, so that neither a dump of them nor chosen
// tokens are of use.
type tokenKey [sha256.Size]byte

type tokenHash struct{ secret [sha256.Size]byte }

func newTokenHash() (h tokenHash) {
	rand.Read(h.secret[:]) // never fails: crypto/rand ends the process instead
	return h
}

func (h *tokenHash) of(token string) (k tokenKey) {
	m := hmac.New(sha256.New, h.secret[:])
	m.Write([]byte(token))
	m.Sum(k[:0])
	return k
}

// latest bounds the expiry times that are taken seriously, the year 9999: beyond it a number of seconds is nonsense, or no time.Time.
const latest = 253402300799

// expiry is when a token stops being valid, by its own claim `exp` (RFC 7519, section 4.1.4) if it is a JWT. The signature is not checked: the time only
// ever shortens how long an answer about this token is remembered.
func expiry(token string) (time.Time, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return time.Time{}, false
	}
	var claims struct {
		Expires *float64 `json:"exp"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil || claims.Expires == nil || *claims.Expires > latest {
		return time.Time{}, false
	}
	return time.Unix(int64(max(*claims.Expires, 0)), 0), true
}
