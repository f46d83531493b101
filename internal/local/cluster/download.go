//go:build unix

package cluster

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"runtime"
	"strings"
	"sync"
	"time"
)

// A closed network must not cost more than a few seconds before the compiler starts.
const (
	dialTimeout     = 3 * time.Second
	answerTimeout   = 10 * time.Second
	downloadTimeout = 15 * time.Minute
)

// release says where an official build of this platform is: its address, the address of a text that holds its SHA-256
// ("" where none is published), and whether it is a tar.gz with the program inside. An empty address: there is none.
type release func(b binary) (address, sums string, archive bool)

func kubernetesRelease(b binary) (string, string, bool) {
	if runtime.GOOS != "linux" && b.name != "kubectl" {
		return "", "", false
	}
	address := fmt.Sprintf("https://dl.k8s.io/release/%s/bin/%s/%s/%s", b.version, runtime.GOOS, runtime.GOARCH, b.name)
	return address, address + ".sha256", false
}

func etcdRelease(b binary) (string, string, bool) {
	if runtime.GOOS != "linux" { // elsewhere it is a zip
		return "", "", false
	}
	folder := "https://github.com/etcd-io/etcd/releases/download/" + b.version
	return fmt.Sprintf("%s/etcd-%s-%s-%s.tar.gz", folder, b.version, runtime.GOOS, runtime.GOARCH), folder + "/SHA256SUMS", true
}

// kwokRelease: kwok publishes no checksums, so the transport is what vouches for it.
func kwokRelease(b binary) (string, string, bool) {
	return fmt.Sprintf("https://github.com/kubernetes-sigs/kwok/releases/download/%s/kwok-%s-%s", b.version, runtime.GOOS, runtime.GOARCH), "", false
}

var downloads = struct {
	client      *http.Client
	mu          sync.Mutex
	unreachable map[string]error // by host: asked once in the life of a process
}{
	client: &http.Client{Transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSHandshakeTimeout:   dialTimeout,
		ResponseHeaderTimeout: answerTimeout,
		DisableKeepAlives:     true, // no idle connection outlives the download
	}},
	unreachable: map[string]error{},
}

// download fetches the official build to the given path and checks its SHA-256 where one is published.
func (b binary) download(ctx context.Context, p *progress, to string) error {
	address, sums, archive := b.release(b)
	if address == "" {
		return fmt.Errorf("there is no official build for %s/%s", runtime.GOOS, runtime.GOARCH)
	}
	ctx, cancel := context.WithTimeout(ctx, downloadTimeout)
	defer cancel()

	want := ""
	if sums != "" {
		text, err := fetch(ctx, sums)
		if err != nil {
			return err
		}
		if want, err = checksumOf(text, path.Base(address)); err != nil {
			return fmt.Errorf("%s: %w", sums, err)
		}
	}
	body, err := open(ctx, address)
	if err != nil {
		return err
	}
	defer body.Close()
	p.say("%s %s: downloading %s", b.name, b.version, address)
	defer p.beat("downloading " + b.name)()

	digest := sha256.New()
	whole := io.TeeReader(body, digest)
	if archive {
		err = extract(whole, b.name, to)
	} else {
		err = writeFile(to, whole)
	}
	if err == nil {
		_, err = io.Copy(io.Discard, whole) // what follows the program in the archive belongs to the checksum
	}
	if err != nil {
		return fmt.Errorf("%s: %w", address, err)
	}
	if got := hex.EncodeToString(digest.Sum(nil)); want != "" && got != want {
		return fmt.Errorf("%s: SHA-256 is %s, expected the published %s; the file is damaged or forged", address, got, want)
	}
	return nil
}

// fetch reads a short text.
func fetch(ctx context.Context, address string) (string, error) {
	body, err := open(ctx, address)
	if err != nil {
		return "", err
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, 1<<20))
	if err != nil {
		return "", fmt.Errorf("%s: %w", address, err)
	}
	return string(text), nil
}

// open asks for an address. A host that could not be reached is not tried again.
func open(ctx context.Context, address string) (io.ReadCloser, error) {
	parsed, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("read the address %q: %w", address, err)
	}
	downloads.mu.Lock()
	err = downloads.unreachable[parsed.Host]
	downloads.mu.Unlock()
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("ask for %s: %w", address, err)
	}
	answer, err := downloads.client.Do(request)
	if err != nil {
		if asked := (*url.Error)(nil); errors.As(err, &asked) {
			err = asked.Err // without the address, which is another one the next time
		}
		err = fmt.Errorf("%s cannot be reached: %w", parsed.Host, err)
		if ctx.Err() == nil {
			downloads.mu.Lock()
			downloads.unreachable[parsed.Host] = err
			downloads.mu.Unlock()
		}
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		answer.Body.Close()
		return nil, &refusal{address, answer.Status}
	}
	return answer.Body, nil
}

// refusal is an answer other than 200.
type refusal struct{ address, status string }

func (r *refusal) Error() string { return r.address + " answers " + r.status }

// reach reports whether somebody answers at the address, whatever he says.
func reach(ctx context.Context, address string) error {
	body, err := open(ctx, address)
	if err == nil {
		return body.Close()
	}
	if refused := (*refusal)(nil); errors.As(err, &refused) {
		return nil
	}
	return err
}

// checksumOf finds a file's SHA-256 in a text that is the sum alone, or has lines of sum and file name.
func checksumOf(text, file string) (string, error) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 || len(fields[0]) != hex.EncodedLen(sha256.Size) {
			continue
		}
		if len(fields) == 1 || strings.TrimPrefix(fields[1], "*") == file {
			return strings.ToLower(fields[0]), nil
		}
	}
	return "", fmt.Errorf("no SHA-256 of %s in it", file)
}

// extract writes the archive's file of that name.
func extract(archive io.Reader, name, to string) error {
	unzipped, err := gzip.NewReader(archive)
	if err != nil {
		return fmt.Errorf("unzip: %w", err)
	}
	files := tar.NewReader(unzipped)
	for {
		file, err := files.Next()
		if err != nil {
			return fmt.Errorf("look for %s in the archive: %w", name, err)
		}
		if file.Typeflag == tar.TypeReg && path.Base(file.Name) == name {
			return writeFile(to, files)
		}
	}
}

func writeFile(to string, content io.Reader) error {
	file, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	return errors.Join(err, file.Close())
}
