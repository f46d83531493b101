package examples

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/holdfast-dev/holdfast/internal/testenv"
)

var (
	ctx = context.Background()
	env *testenv.Env
	// holdfast and controllerGen are programs.
	holdfast, controllerGen string
	// root of the repository.
	root string
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "holdfast-examples-")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer os.RemoveAll(dir)
	holdfast, controllerGen = filepath.Join(dir, "holdfast"), filepath.Join(dir, "controller-gen")
	if root, err = filepath.Abs(filepath.Join("..", "..")); err != nil {
		fmt.Println(err)
		return 1
	}
	if err := testenv.BuildProgram(ctx, holdfast, os.Stdout); err != nil {
		fmt.Println(err)
		return 1
	}
	if err := runIn(filepath.Join(root, "hack"), os.Stdout, "go", "build", "-o", controllerGen, "sigs.k8s.io/controller-tools/cmd/controller-gen"); err != nil {
		fmt.Println(err)
		return 1
	}
	return testenv.Main(m, &env)
}

// runIn runs a program in a folder.
func runIn(dir string, output io.Writer, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=")
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", cmd, err)
	}
	return nil
}
