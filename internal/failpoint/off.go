//go:build !failpoint

package failpoint

import (
	"net/http"

	"k8s.io/client-go/rest"
)

// API makes boundaries of the writes of every client that is made from this config. Without the build tag it does nothing.
func API(*rest.Config) {}

// HTTP makes a boundary of each request. Without the build tag it returns next.
func HTTP(_ string, next http.RoundTripper) http.RoundTripper { return next }
