package entry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

const replacement = "\uFFFD"

// CanonicalRecord is the form in which records are kept: RFC 8785 JSON of an object, given as JSON text, in which every NUL, lone surrogate and byte that is not UTF-8 became
// U+FFFD; repaired counts the places. Numbers that a double would silently change are refused. Errors wrap ErrInvalid.
func CanonicalRecord(text []byte) (canonical []byte, repaired int, err error) {
	return canonicalRecord(json.RawMessage(text))
}

// canonicalRecord encodes a record so that it survives etcd and PostgreSQL unchanged: RFC 8785 JSON whose texts hold no NUL, no lone
// surrogate and no invalid UTF-8 (each becomes U+FFFD; repaired counts them), and no number from 2^53 on that a double does not hold.
func canonicalRecord(record any) (text []byte, repaired int, err error) {
	raw, err := json.Marshal(record)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: record does not encode to JSON: %w", ErrInvalid, err)
	}
	clean, repaired, err := repair(raw)
	if err != nil {
		return nil, 0, err
	}
	if len(clean) == 0 || clean[0] != '{' {
		return nil, 0, fmt.Errorf("%w: record is %.64s, expected a JSON object", ErrInvalid, clean)
	}
	err = (*jsontext.Value)(&clean).Canonicalize()
	if errors.Is(err, jsontext.ErrDuplicateName) && repaired > 0 { // two names that were different before they were repaired
		if clean, err = separate(clean); err == nil {
			err = (*jsontext.Value)(&clean).Canonicalize()
		}
	}
	if err != nil {
		return nil, 0, fmt.Errorf("%w: record has no canonical form: %w", ErrInvalid, err)
	}
	return clean, repaired, nil
}

// separate gives members of one object that have the same name different ones: "a", "a#2", "a#3".
func separate(text []byte) ([]byte, error) {
	var out bytes.Buffer
	from := jsontext.NewDecoder(bytes.NewReader(text), jsontext.AllowDuplicateNames(true))
	to := jsontext.NewEncoder(&out)
	var names []map[string]int // of the objects that are open; nil for an array
	for {
		token, err := from.ReadToken()
		if errors.Is(err, io.EOF) {
			return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
		}
		if err != nil {
			return nil, err
		}
		kind, length := to.StackIndex(to.StackDepth())
		if kind == '{' && length%2 == 0 && token.Kind() == '"' {
			token = jsontext.String(unique(names[len(names)-1], token.String()))
		}
		switch token.Kind() {
		case '{':
			names = append(names, map[string]int{})
		case '[':
			names = append(names, nil)
		case '}', ']':
			names = names[:len(names)-1]
		}
		if err := to.WriteToken(token); err != nil {
			return nil, err
		}
	}
}

// unique remembers by each name how often it was there, so that thousands of the same name are no thousands of looks each.
func unique(taken map[string]int, name string) string {
	free := name
	for taken[free] > 0 {
		taken[name]++
		free = fmt.Sprintf("%s#%d", name, taken[name])
	}
	taken[free] = 1
	return free
}

// repair walks over valid JSON. It works on the encoded text, since decoding would already have replaced what it looks for.
func repair(raw []byte) ([]byte, int, error) {
	repaired := 0
	if !utf8.Valid(raw) {
		raw = bytes.ToValidUTF8(raw, []byte(replacement))
		repaired++
	}
	out := make([]byte, 0, len(raw))
	inString := false
	for i := 0; i < len(raw); {
		switch c := raw[i]; {
		case c == '"':
			inString = !inString
			out = append(out, c)
			i++
		case inString && c == '\\':
			n, bad := escape(raw[i:])
			if bad {
				repaired++
				out = append(out, replacement...)
			} else {
				out = append(out, raw[i:i+n]...)
			}
			i += n
		case !inString && (c == '-' || c >= '0' && c <= '9'):
			n := numberLength(raw[i:])
			if err := checkNumber(string(raw[i : i+n])); err != nil {
				return nil, 0, err
			}
			out = append(out, raw[i:i+n]...)
			i += n
		default:
			out = append(out, c)
			i++
		}
	}
	return out, repaired, nil
}

// escape returns the length of the escape sequence at the start of b, and reports whether it must be replaced. encoding/json writes \ufffd as an escape
// only for bytes that were not UTF-8, so that one counts as a repair too.
func escape(b []byte) (n int, bad bool) {
	unit := func(at int) (uint64, bool) {
		if len(b) < at+6 || b[at] != '\\' || b[at+1] != 'u' {
			return 0, false
		}
		v, err := strconv.ParseUint(string(b[at+2:at+6]), 16, 16)
		return v, err == nil
	}
	first, ok := unit(0)
	switch {
	case !ok:
		return 2, false
	case first == 0, first == utf8.RuneError, first >= 0xDC00 && first <= 0xDFFF:
		return 6, true
	case first < 0xD800 || first > 0xDFFF:
		return 6, false
	}
	if second, ok := unit(6); ok && second >= 0xDC00 && second <= 0xDFFF {
		return 12, false
	}
	return 6, true
}

func numberLength(b []byte) int {
	n := bytes.IndexFunc(b, func(r rune) bool { return !strings.ContainsRune("+-.0123456789eE", r) })
	if n < 0 {
		return len(b)
	}
	return n
}

// checkNumber refuses what RFC 8785 would silently change, by its value, however it is written: numbers too large for a double, and those from 2^53 on that a double does not hold as they are.
func checkNumber(s string) error {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return fmt.Errorf("%w: number %.80s does not fit a double; write it as a string", ErrInvalid, s)
	}
	if math.Abs(f) < 1<<53 {
		return nil
	}
	digits, exponent := decimal(s)
	if held, at := decimal(strconv.FormatFloat(f, 'e', -1, 64)); held != digits || at != exponent {
		return fmt.Errorf("%w: number %.80s is beyond ±2^53 and would not survive every JSON reader; write it as a string", ErrInvalid, s)
	}
	return nil
}

// decimal is a number's value as 0.digits × 10^exponent, without its sign.
func decimal(s string) (digits string, exponent int) {
	mantissa, power, _ := strings.Cut(strings.ToLower(strings.TrimPrefix(s, "-")), "e")
	exponent, _ = strconv.Atoi(power) // of a number that a double holds it is small
	whole, fraction, _ := strings.Cut(mantissa, ".")
	all := strings.TrimLeft(whole+fraction, "0")
	exponent += len(whole) - (len(whole+fraction) - len(all))
	return strings.TrimRight(all, "0"), exponent
}
