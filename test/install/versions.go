//go:build versions

package install

import _ "github.com/holdfast-dev/holdfast/hack/newest" // the versions that the rest of the checkout is built with, so that nothing is compiled twice
