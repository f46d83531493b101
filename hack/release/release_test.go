package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"sigs.k8s.io/yaml"
)

var everywhere = []platform{{"linux", "amd64"}, {"linux", "arm64"}, {"darwin", "amd64"}, {"darwin", "arm64"}, {"windows", "amd64"}, {"windows", "arm64"}}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// stand builds a small program once, which stands for ours on every platform.
func stand(t *testing.T) []byte {
	t.Helper()
	to := filepath.Join(t.TempDir(), "program")
	c := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-o", to, "./testdata/program")
	c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	content, err := os.ReadFile(to)
	must(t, err)
	return content
}

func made(t *testing.T, program []byte, out string) *release {
	t.Helper()
	r := &release{version: "v0.1.0-3-gabcdef", time: time.Unix(1764288000, 0).UTC(), source: "../..", out: out, build: func(_ context.Context, _ platform, _, to string) error {
		return os.WriteFile(to, program, 0o700)
	}}
	must(t, r.validate())
	must(t, os.MkdirAll(out, 0o755))
	must(t, r.make(t.Context(), everywhere))
	return r
}

func TestTheArtefactsOfARelease(t *testing.T) {
	program := stand(t)
	r := made(t, program, filepath.Join(t.TempDir(), "dist"))
	read := func(file string) []byte {
		content, err := os.ReadFile(filepath.Join(r.out, file))
		must(t, err)
		return content
	}

	t.Run("checksums", func(t *testing.T) {
		sums := string(read("SHA256SUMS"))
		if n := strings.Count(sums, "\n"); n != 2*(6+4) {
			t.Errorf("%d checksums, expected one of each archive and of each bill of materials:\n%s", n, sums)
		}
		for line := range strings.Lines(sums) {
			sum, file, _ := strings.Cut(strings.TrimSpace(line), "  ")
			if got := fmt.Sprintf("%x", sha256.Sum256(read(file))); got != sum {
				t.Errorf("%s has %s, SHA256SUMS says %s", file, got, sum)
			}
		}
	})

	t.Run("archives", func(t *testing.T) {
		unzipped, err := gzip.NewReader(bytes.NewReader(read("kubectl-holdfast_linux_arm64.tar.gz")))
		must(t, err)
		var members []string
		for packed := tar.NewReader(unzipped); ; {
			header, err := packed.Next()
			if err == io.EOF {
				break
			}
			must(t, err)
			members = append(members, fmt.Sprintf("%s %o", header.Name, header.Mode))
		}
		if expected := []string{"kubectl-holdfast 755", "LICENSE 644", "kubectl_complete-holdfast 755"}; !slices.Equal(members, expected) {
			t.Errorf("members are %q, expected %q", members, expected)
		}
		content := read("kubectl-holdfast_windows_amd64.zip")
		zipped, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
		must(t, err)
		if zipped.File[0].Name != "kubectl-holdfast.exe" {
			t.Errorf("the first member is %s", zipped.File[0].Name)
		}
	})

	t.Run("bill of materials", func(t *testing.T) {
		var bom struct {
			BOMFormat  string
			Metadata   struct{ Component struct{ Version string } }
			Components []struct{ Name string }
		}
		must(t, json.Unmarshal(read("holdfast_linux_amd64.cdx.json"), &bom))
		if bom.BOMFormat != "CycloneDX" || bom.Metadata.Component.Version != r.version || len(bom.Components) != 1 || bom.Components[0].Name != "std" {
			t.Errorf("%+v, expected the version and Go's library", bom)
		}
	})

	t.Run("manifest for krew", func(t *testing.T) { manifest(t, read) })
	t.Run("image", func(t *testing.T) { pushed(t, r, program) })

	t.Run("the same again", func(t *testing.T) {
		again := made(t, program, filepath.Join(t.TempDir(), "dist"))
		sums, err := os.ReadFile(filepath.Join(again.out, "SHA256SUMS"))
		must(t, err)
		if !bytes.Equal(sums, read("SHA256SUMS")) {
			t.Error("another run of the same commit has other checksums")
		}
		if !bytes.Equal(read("image/index.json"), func() []byte {
			c, err := os.ReadFile(filepath.Join(again.out, "image/index.json"))
			must(t, err)
			return c
		}()) {
			t.Error("another run of the same commit has another image")
		}
	})
}

// manifest checks that krew finds what the manifest says. cmd/kubectl-holdfast/krew_test.go checks its form.
func manifest(t *testing.T, read func(string) []byte) {
	var plugin struct {
		Spec struct {
			Version   string `json:"version"`
			Platforms []struct {
				URI    string `json:"uri"`
				SHA256 string `json:"sha256"`
			} `json:"platforms"`
		} `json:"spec"`
	}
	must(t, yaml.Unmarshal(read("holdfast.yaml"), &plugin))
	if len(plugin.Spec.Platforms) < 5 {
		t.Errorf("%d platforms", len(plugin.Spec.Platforms))
	}
	for _, p := range plugin.Spec.Platforms {
		file, found := strings.CutPrefix(p.URI, "https://github.com/holdfast-dev/holdfast/releases/download/"+plugin.Spec.Version+"/")
		if !found || p.SHA256 != fmt.Sprintf("%x", sha256.Sum256(read(file))) {
			t.Errorf("%s has the checksum %s, which is not that of the archive", p.URI, p.SHA256)
		}
	}
}

// pushed pushes the image into a registry, and pulls the one of a platform as a node would.
func pushed(t *testing.T, r *release, program []byte) {
	server := httptest.NewServer(registry.New())
	defer server.Close()
	repository := strings.TrimPrefix(server.URL, "http://") + "/holdfast"
	must(t, r.push(t.Context(), repository))
	tag, err := name.NewTag(repository + ":" + r.version)
	must(t, err)
	for _, arch := range []string{"amd64", "arm64"} {
		image, err := remote.Image(tag, remote.WithContext(t.Context()), remote.WithPlatform(v1.Platform{OS: "linux", Architecture: arch}))
		must(t, err)
		file, err := image.ConfigFile()
		must(t, err)
		if file.Config.User != "65532:65532" || file.Architecture != arch || !slices.Equal(file.Config.Entrypoint, []string{"/holdfast"}) {
			t.Errorf("%s: %+v", arch, file)
		}
		contents, err := filesOf(image)
		must(t, err)
		if len(contents) != 2 || contents["holdfast"] != string(program) || strings.Count(contents["etc/ssl/certs/ca-certificates.crt"], "BEGIN CERTIFICATE") < 50 {
			t.Errorf("%s has %d files, expected the program and the certificates", arch, len(contents))
		}
	}
	if err := r.push(t.Context(), "not a repository"); err == nil || !strings.Contains(err.Error(), `-push is "not a repository"`) {
		t.Errorf("%v", err)
	}
}

// The changelog of this repository has the notes of its first version; what is published needs a date.
func TestTheNotesOfARelease(t *testing.T) {
	notes, err := (&release{version: "v0.1.0", source: "../.."}).notes()
	must(t, err)
	for _, expected := range []string{"### Added\n", "### Known limits\n", "](https://github.com/holdfast-dev/holdfast/blob/v0.1.0/docs/embedding.md)"} {
		if !strings.Contains(notes, expected) {
			t.Errorf("no %q in\n%s", expected, notes)
		}
	}
	for _, other := range []string{"\n## ", "](docs/", "Unreleased"} {
		if strings.Contains(notes, other) {
			t.Errorf("%q in\n%s", other, notes)
		}
	}

	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "CHANGELOG.md"), []byte("# C\n\n## [Unreleased]\n\n- u\n\n## [1.2.0] - soon\n\n- [n](docs/n.md#a)\n\n## [1.1.0] - 2026-11-28\n\n- o\n\n[1.1.0]: https://example.com\n"), 0o600))
	for _, c := range []struct {
		version  string
		publish  bool
		expected string
	}{
		{"v1.2.0", false, "- [n](https://github.com/holdfast-dev/holdfast/blob/v1.2.0/docs/n.md#a)\n"},
		{"v1.2.0", true, `CHANGELOG.md has "soon" behind version v1.2.0, expected the date`},
		{"v1.1.0", true, "- o\n"},
		{"v1.3.0", false, `CHANGELOG.md has no section "## [1.3.0]"`},
		{"v1.1.0-3-gabcdef", false, ""},
		{"v1.3.0-rc.1", true, `CHANGELOG.md has no section "## [1.3.0-rc.1]"`},
	} {
		got, err := (&release{version: c.version, source: dir, publish: c.publish}).notes()
		if err != nil {
			got = err.Error()
		}
		if got != c.expected && (err == nil || !strings.Contains(got, c.expected)) {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

func TestWrongFlagsOfARelease(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	for flag, expected := range map[string]string{
		"-version=0.1.0": `-version is "0.1.0", expected a version`, "-time=0": "-time is 0, expected", "-source=" + dir: "-source is", "-out=" + dir: "expected an empty folder", "-platforms=linux": `-platforms has "linux", expected OS/ARCHITECTURE`,
	} {
		err := run(t.Context(), append([]string{"-version=v0.1.0", "-time=1764288000", "-source=../..", "-out=" + filepath.Join(t.TempDir(), "dist")}, flag))
		if err == nil || !strings.Contains(err.Error(), expected) {
			t.Errorf("%s: %v, expected %q", flag, err, expected)
		}
	}
}
