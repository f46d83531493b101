//go:build unix

package cluster

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	. "github.com/onsi/gomega"
)

// lines collects progress.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// emptyCache gives the test a cache of its own, but the Go compiler the usual one.
func emptyCache(t *testing.T) {
	t.Helper()
	goCache, err := exec.Command("go", "env", "GOCACHE").Output()
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	t.Setenv("GOCACHE", strings.TrimSpace(string(goCache)))
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("KUBEBUILDER_ASSETS", "")
}

func nowhere(binary) (string, string, bool) { return "http://127.0.0.1:1/program", "", false }

func TestBinariesOfUnknownName(t *testing.T) {
	_, err := Binaries(t.Context(), nil, "kubelet")
	NewWithT(t).Expect(err).To(MatchError(And(ContainSubstring(`"kubelet"`), ContainSubstring("kube-scheduler"))))
}

func TestBinariesPrefersAssets(t *testing.T) {
	g := NewWithT(t)
	assets := t.TempDir()
	t.Setenv("KUBEBUILDER_ASSETS", assets)
	g.Expect(os.WriteFile(assets+"/etcd", nil, 0o755)).To(Succeed())
	paths, err := Binaries(t.Context(), nil, "etcd")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(paths).To(Equal(map[string]string{"etcd": assets + "/etcd"}))
}

// The smallest program among the dependencies stands for the large ones.
func TestCompileOnceForAll(t *testing.T) {
	g := NewWithT(t)
	emptyCache(t)
	small := binary{name: "protoc-gen-go", version: "v0", module: "etcd", takes: "a moment",
		pkg: "google.golang.org/protobuf/cmd/protoc-gen-go", ldflags: "-s -w", release: nowhere}
	var said lines
	p := newProgress(&said)
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			path, err := small.find(t.Context(), p)
			if err != nil || path != small.cached() {
				t.Errorf("find: %q, %v", path, err)
			}
		})
	}
	all.Wait()
	g.Expect(strings.Count(said.text.String(), "compiling it")).To(Equal(1), said.text.String())
	g.Expect(exec.Command(small.cached(), "--version").Run()).To(Succeed())
	left, err := filepath.Glob(filepath.Dir(small.cached()) + "/*")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(left).To(ConsistOf(small.cached(), small.cached()+".lock"))
}

func TestNeitherDownloadNorCompiler(t *testing.T) {
	g := NewWithT(t)
	emptyCache(t)
	t.Setenv("PATH", t.TempDir())
	b := binary{name: "etcd", version: "v0", module: "etcd", release: nowhere}
	_, err := b.find(t.Context(), newProgress(nil))
	g.Expect(err).To(MatchError(And(ContainSubstring("refused"), ContainSubstring("Go compiler"), ContainSubstring("KUBEBUILDER_ASSETS"))))
}

func TestDownload(t *testing.T) {
	program := []byte("#!/bin/sh\n")
	var archive bytes.Buffer
	zipped := gzip.NewWriter(&archive)
	files := tar.NewWriter(zipped)
	for _, name := range []string{"etcd-v0/README", "etcd-v0/etcd", "etcd-v0/etcdctl"} {
		if err := files.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(program)), Mode: 0o755}); err != nil {
			t.Fatal(err)
		}
		_, _ = files.Write(program)
	}
	_, _ = files.Close(), zipped.Close()
	served := map[string][]byte{
		"/plain": program, "/etcd.tar.gz": archive.Bytes(),
		"/plain.sha256": fmt.Appendf(nil, "%x", sha256.Sum256(program)),
		"/SHA256SUMS":   fmt.Appendf(nil, "%064x  other\n%x  etcd.tar.gz\n", 1, sha256.Sum256(archive.Bytes())),
		"/wrong":        fmt.Appendf(nil, "%064x", 1), "/none": []byte("nothing here"),
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if content, ok := served[r.URL.Path]; ok {
			_, _ = w.Write(content)
			return
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(server.Close)

	for name, c := range map[string]struct {
		address, sums string
		archive       bool
		fails         string
	}{
		"a program with its sum":            {address: "/plain", sums: "/plain.sha256"},
		"a program without a published sum": {address: "/plain"},
		"an archive among many":             {address: "/etcd.tar.gz", sums: "/SHA256SUMS", archive: true},
		"a forged program":                  {address: "/plain", sums: "/wrong", fails: "damaged or forged"},
		"a list without it":                 {address: "/plain", sums: "/none", fails: "no SHA-256 of plain"},
		"a program that is not there":       {address: "/gone", fails: "404"},
		"sums that are not there":           {address: "/plain", sums: "/gone", fails: "404"},
		"an archive that is none":           {address: "/plain", archive: true, fails: "unzip"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			b := binary{name: "etcd", version: "v0", release: func(binary) (string, string, bool) {
				sums := c.sums
				if sums != "" {
					sums = server.URL + sums
				}
				return server.URL + c.address, sums, c.archive
			}}
			to := t.TempDir() + "/etcd"
			err := b.download(t.Context(), newProgress(nil), to)
			if c.fails != "" {
				g.Expect(err).To(MatchError(ContainSubstring(c.fails)))
				return
			}
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(os.ReadFile(to)).To(Equal(program))
		})
	}
}
