package testenv

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// BuildProgram builds holdfast as it is shipped, as path. flags are those of go build, such as a tag.
func BuildProgram(ctx context.Context, path string, progress io.Writer, flags ...string) error {
	build := exec.CommandContext(ctx, "go", append(append([]string{"build", "-o", path}, flags...), "github.com/holdfast-dev/holdfast/cmd/holdfast")...)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stdout, build.Stderr = progress, progress
	if err := build.Run(); err != nil {
		return fmt.Errorf("build holdfast: %w", err)
	}
	return nil
}
