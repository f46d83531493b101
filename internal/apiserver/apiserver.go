// Package apiserver says what answers of an API server mean where neither apimachinery nor client-go does in the oldest release that the libraries support.
package apiserver

import (
	"errors"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Older reports whether a resource version comes before another of the same resource. Versions are decimal numbers of any length; of a version that is none nothing is older
// and nothing is newer. apimachinery 0.35 has resourceversion.CompareResourceVersion for it.
func Older(version, than string) bool {
	if !isNumber(version) || !isNumber(than) {
		return false
	}
	if len(version) != len(than) {
		return len(version) < len(than)
	}
	return version < than
}

// isNumber reports whether a version is a number without leading zeros. "0" is no version of a resource.
func isNumber(version string) bool {
	return version != "" && version[0] != '0' && strings.Trim(version, "0123456789") == ""
}

// FailedTest distinguishes a JSON patch whose test failed, since somebody changed the resource, from one whose result breaks a rule of the kind. Both are 422, but the
// latter names what is wrong, and is not fixed by working the patch out anew.
func FailedTest(err error) bool {
	var status apierrors.APIStatus
	if !apierrors.IsInvalid(err) || !errors.As(err, &status) {
		return false
	}
	details := status.Status().Details
	return details == nil || len(details.Causes) == 0
}

// TooLarge recognises the errors with which etcd's limits, and the API server's own, come out of an API server.
func TooLarge(err error) bool {
	if apierrors.IsRequestEntityTooLargeError(err) {
		return true
	}
	var status apierrors.APIStatus
	return errors.As(err, &status) && (strings.Contains(status.Status().Message, "etcdserver: request is too large") ||
		strings.Contains(status.Status().Message, "trying to send message larger than max"))
}
