package gateway

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"os"
	"strings"
)

// minToken is how many bytes a token must have.
const minToken = 16

// Tokens are what senders may authenticate with.
type Tokens struct{ path string }

// NewTokens takes the tokens of a file, one a line. With two of them one can be replaced without a refused message. The file is read for each message, so that a change counts at once.
func NewTokens(path string) (*Tokens, error) {
	t := &Tokens{path}
	_, err := t.read()
	return t, err
}

func (t *Tokens) read() ([][]byte, error) {
	text, err := os.ReadFile(t.path)
	if err != nil {
		return nil, fmt.Errorf("read the token file: %w", err)
	}
	var all [][]byte
	for line := range bytes.Lines(text) {
		line = bytes.TrimSpace(line)
		switch {
		case len(line) == 0:
			continue
		case len(line) < minToken:
			return nil, fmt.Errorf("token file %s has a token of %d bytes, expected at least %d, as of: openssl rand -hex 32", t.path, len(line), minToken)
		}
		all = append(all, line)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("token file %s is empty, expected a token, as of: openssl rand -hex 32", t.path)
	}
	return all, nil
}

var errToken = errors.New("expected the header Authorization: Bearer TOKEN with the token of the gateway; Alertmanager sends it with http_config.authorization.credentials_file")

// check compares a token with all that are valid, in a time that tells nothing about them.
func (t *Tokens) check(bearer string) error {
	all, err := t.read()
	if err != nil {
		return err
	}
	given, equal := sha256.Sum256([]byte(strings.TrimSpace(bearer))), 0
	for _, one := range all {
		valid := sha256.Sum256(one)
		equal |= subtle.ConstantTimeCompare(given[:], valid[:])
	}
	if equal == 0 {
		return errToken
	}
	return nil
}
