package credential

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"
)

// maxToken is the longest token in bytes. Those of Kubernetes have one to two kilobytes.
const maxToken = 16 << 10

var (
	errEmpty   = errors.New("it is empty")
	errControl = errors.New("it contains a newline, a NUL or another control character, expected one line")
)

// Trim returns the text without blanks and newlines before and behind it. A control character in the middle is an error.
func Trim(text string) (string, error) {
	text = strings.TrimSpace(text)
	if strings.ContainsFunc(text, unicode.IsControl) {
		return "", errControl
	}
	return text, nil
}

// Token reads a bearer token, trimmed.
func Token(text string) (string, error) {
	token, err := Trim(text)
	switch {
	case err != nil:
		return "", err
	case token == "":
		return "", fmt.Errorf("%w, expected a token", errEmpty)
	case len(token) > maxToken:
		return "", fmt.Errorf("it has more than %d bytes, expected a token", maxToken)
	case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "", errors.New("it contains a blank or a non-ASCII character, expected only the token, without a word such as Bearer before it")
	}
	return token, nil
}

// TokenFile reads the bearer token that a file holds. It reads the file at each call, so that the token can be rotated.
func TokenFile(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fileError(path, err)
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxToken+1))
	if err != nil {
		return "", fileError(path, err)
	}
	token, err := Token(string(content))
	if err != nil {
		return "", fmt.Errorf("read the file %s: %w", path, err)
	}
	return token, nil
}

// ReadableFile reports why a file can't be read; nil if it can.
func ReadableFile(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return fileError(path, err)
	}
	return file.Close()
}

// fileError names the path only where it is plainly one: whoever gives the token, or the text of a key, in place of the path must not find it in a log.
func fileError(path string, err error) error {
	var on *fs.PathError
	if errors.As(err, &on) {
		err = on.Err
	}
	if !filepath.IsAbs(path) || strings.ContainsFunc(path, unicode.IsControl) {
		return fmt.Errorf("read the file: %w; expected a path, as in /var/run/secrets/holdfast/token (the given value is not shown because it may be the secret)", err)
	}
	return fmt.Errorf("read the file %s: %w", path, err)
}
