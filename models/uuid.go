package models

import (
	"errors"

	"github.com/google/uuid"
)

// errNoUUID says which form of a UUID is accepted.
var errNoUUID = errors.New("expected a UUID of 36 characters, as in 019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6a7b")

// UUID parses a UUID and returns it in lower case, as PostgreSQL and Kubernetes write it, so that equal UUIDs are equal texts. It accepts 36 characters with dashes, in
// any case. Other forms that libraries accept (in braces, after urn:uuid:, without dashes) are an error.
func UUID(text string) (string, error) {
	id, err := uuid.Parse(text)
	if err != nil || len(text) != 36 {
		return "", errNoUUID
	}
	return id.String(), nil
}

// RemediationID parses the id of a remediation: a UUID, as UUID does, or any text that is not a UUID in any form, for work by hand.
func RemediationID(text string) (string, error) {
	if uuid.Validate(text) != nil {
		return text, nil //nolint:nilerr // a text that is no UUID is an id, too
	}
	return UUID(text)
}
