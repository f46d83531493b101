package credential

import (
	"errors"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Escapes says how to write what has a meaning in URLs. It belongs to errors of URLs.
const Escapes = "percent-encode: @ as %40, / as %2F, ? as %3F, # as %23, % as %25, a blank as %20"

// Short, since some are kept in a status.
var (
	errAt       = errors.New("it has an extra @, expected at most one, directly before the host; " + Escapes)
	errFragment = errors.New("it contains a #, expected none; " + Escapes)
	errBlank    = errors.New("it contains a blank, expected none; " + Escapes)
	errEscape   = errors.New("it has a % without two hexadecimal digits after it; " + Escapes)
	errNUL      = errors.New("it contains a NUL (%00), expected none")
	errNoURL    = errors.New("expected an http or https URL with a host")
	errNoProxy  = errors.New("expected an http, https or socks5 URL with a host, as in http://proxy.example.com:3128")
	errService  = errors.New("it has a user, a password or a query, expected only scheme, host and path; give a token instead")
)

// escape is a proper one.
var escape = regexp.MustCompile(`^%[0-9A-Fa-f]{2}`)

// CheckURL refuses what two readers can read as two URLs. It takes the text behind scheme and "://", trimmed. What it passes has at most one @, and that one ends
// the user and the password; behind the authority there is no other.
func CheckURL(rest string) error {
	authority := rest
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		authority = rest[:end]
	}
	switch {
	case strings.Count(rest, "@") > strings.Count(authority, "@"), strings.Count(authority, "@") > 1:
		return errAt
	case strings.Contains(rest, "#"):
		return errFragment
	case strings.Contains(rest, " "):
		return errBlank
	}
	for at := range rest {
		if rest[at] != '%' {
			continue
		}
		if !escape.MatchString(rest[at:]) {
			return errEscape
		}
		if strings.HasPrefix(rest[at:], "%00") {
			return errNUL
		}
	}
	return nil
}

// hostName is what can be looked up, with names that are not ASCII.
var hostName = regexp.MustCompile(`^[\pL\pN_][\pL\pM\pN_.-]*$`)

// ValidHost reports whether a text can be a host: a name, or an IP address without brackets.
func ValidHost(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Zone() == "" || hostName.MatchString(ip.Zone())
	}
	return hostName.MatchString(host)
}

// URL reads an http or https URL, trimmed. It may have a user and a password.
func URL(text string) (*url.URL, error) {
	text, err := Trim(text)
	if err != nil {
		return nil, err
	}
	scheme, rest, ok := strings.Cut(text, "://")
	if scheme = strings.ToLower(scheme); !ok || scheme != "http" && scheme != "https" {
		return nil, errNoURL
	}
	if err := CheckURL(rest); err != nil {
		return nil, err
	}
	u, err := url.Parse(text)
	if err != nil || !ValidHost(u.Hostname()) { // the error of the parser quotes the text
		return nil, errNoURL
	}
	return u, nil
}

// ServiceURL reads the address of a service, trimmed: an http or https URL without user, query and fragment. A path is a prefix.
func ServiceURL(text string) (*url.URL, error) {
	u, err := URL(text)
	if err != nil {
		return nil, err
	}
	if u.User != nil || u.RawQuery != "" || u.ForceQuery {
		return nil, errService
	}
	return u, nil
}

// CheckProxy refuses the URL of a proxy that can't be used. It may have a user and a password.
func CheckProxy(text string, schemes ...string) error {
	text, err := Trim(text)
	if err != nil {
		return err
	}
	scheme, rest, _ := strings.Cut(text, "://")
	if !slices.Contains(schemes, scheme) {
		return errNoProxy
	}
	if err := CheckURL(rest); err != nil {
		return err
	}
	if u, err := url.Parse(text); err != nil || !ValidHost(u.Hostname()) {
		return errNoProxy
	}
	return nil
}

// Secrets is what of a URL may be a credential: user, password, path and query.
func Secrets(u *url.URL) string {
	password, _ := u.User.Password()
	return u.User.Username() + " " + password + " " + u.RequestURI()
}
