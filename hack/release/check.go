package main

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// tryImage pushes the image into a registry in this process, pulls it as a node of each platform would, and runs the program of this machine's. It says what it saw.
func (r *release) tryImage(ctx context.Context, platforms []platform, said io.Writer) error {
	platforms = slices.DeleteFunc(slices.Clone(platforms), func(p platform) bool { return p.os != "linux" })
	if len(platforms) == 0 {
		return nil
	}
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	repository := strings.TrimPrefix(server.URL, "http://") + "/holdfast"
	if err := r.push(ctx, repository); err != nil {
		return err
	}
	tag, err := name.NewTag(repository + ":" + r.version)
	if err != nil {
		return err
	}
	index, err := remote.Index(tag, remote.WithContext(ctx))
	if err != nil {
		return err
	}
	list, err := index.IndexManifest()
	if err != nil {
		return err
	}
	var listed []platform
	for _, m := range list.Manifests {
		listed = append(listed, platform{m.Platform.OS, m.Platform.Architecture})
	}
	if !slices.Equal(listed, platforms) {
		return fmt.Errorf("the manifest list has %v, expected %v", listed, platforms)
	}
	for _, p := range platforms {
		answer, err := r.pulled(ctx, tag, p)
		if err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		fmt.Fprintf(said, "holdfast:%s for %s, pulled from a registry: %s\n", r.version, p, answer)
	}
	return nil
}

// pulled is what the program of a pulled image says of its version, where this machine can run it.
func (r *release) pulled(ctx context.Context, tag name.Tag, p platform) (answer string, err error) {
	image, err := remote.Image(tag, remote.WithContext(ctx), remote.WithPlatform(v1.Platform{OS: p.os, Architecture: p.arch}))
	if err != nil {
		return "", err
	}
	contents, err := filesOf(image)
	if err != nil {
		return "", err
	}
	built, err := os.ReadFile(filepath.Join(r.out, "programs", p.os+"_"+p.arch, "holdfast"))
	if err != nil {
		return "", err
	}
	switch {
	case string(built) != contents["holdfast"]:
		return "", errors.New("the program is not that of the archive")
	case p.os != runtime.GOOS || p.arch != runtime.GOARCH:
		return "the program of the archive, not run here", nil
	}
	dir, err := os.MkdirTemp("", "holdfast-image-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "holdfast")
	if err := os.WriteFile(program, []byte(contents["holdfast"]), 0o700); err != nil {
		return "", err
	}
	text, err := exec.CommandContext(ctx, program, "--version").CombinedOutput()
	answer = strings.TrimSpace(string(text))
	if err == nil && !strings.Contains(answer, r.version) {
		err = fmt.Errorf("it says %q, expected the version %s", answer, r.version)
	}
	return answer, err
}

// filesOf are the files of an image.
func filesOf(image v1.Image) (map[string]string, error) {
	contents := map[string]string{}
	all := mutate.Extract(image)
	defer all.Close()
	for packed := tar.NewReader(all); ; {
		header, err := packed.Next()
		if errors.Is(err, io.EOF) {
			return contents, nil
		}
		if err != nil {
			return nil, err
		}
		content, err := io.ReadAll(packed)
		if err != nil {
			return nil, err
		}
		contents[header.Name] = string(content)
	}
}
