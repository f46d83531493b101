// Command kubectl-holdfast is a plugin of kubectl: it lists, explains and decides what the audit trail of custom resources waits for. As kubectl-outbox it has the verbs about outboxes.
package main

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/holdfast-dev/holdfast/internal/plugin"
)

// version is set by the linker (make build).
var version = ""

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	outboxes := strings.HasPrefix(filepath.Base(os.Args[0]), "kubectl-outbox")
	code := plugin.Main(ctx, outboxes, version)
	stop()
	os.Exit(code)
}
