package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// imageFolder is an OCI layout in the artefacts' folder.
const imageFolder = "image"

// image writes the index of the images of all Linux platforms: as the Dockerfile makes it, one static program, the certificates of public authorities, and no shell.
func (r *release) image(platforms []platform) error {
	var index v1.ImageIndex = empty.Index
	found := false
	for _, p := range platforms {
		if p.os != "linux" {
			continue
		}
		found = true
		one, err := r.imageOf(p)
		if err != nil {
			return err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: one, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: p.os, Architecture: p.arch}}})
	}
	if !found {
		return nil
	}
	_, err := layout.Write(filepath.Join(r.out, imageFolder), index)
	return err
}

func (r *release) imageOf(p platform) (v1.Image, error) {
	program, err := os.ReadFile(filepath.Join(r.out, "programs", p.os+"_"+p.arch, "holdfast"))
	if err != nil {
		return nil, err
	}
	var roots bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil { // a file of certificates cannot say that one is limited
			if err := pem.Encode(&roots, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
				return nil, err
			}
		}
	}
	certificates, err := r.layer("etc/ssl/certs/ca-certificates.crt", roots.Bytes(), 0o644)
	if err != nil {
		return nil, err
	}
	programs, err := r.layer("holdfast", program, 0o755)
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(empty.Image, certificates, programs)
	if err != nil {
		return nil, err
	}
	file, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Created = p.os, p.arch, v1.Time{Time: r.time}
	file.Config = v1.Config{User: "65532:65532", Entrypoint: []string{"/holdfast"}, Labels: map[string]string{
		"org.opencontainers.image.source": "https://github.com/holdfast-dev/holdfast", "org.opencontainers.image.version": r.version, "org.opencontainers.image.licenses": "Apache-2.0",
	}}
	return mutate.ConfigFile(image, file)
}

// layer has one file.
func (r *release) layer(path string, content []byte, mode int64) (v1.Layer, error) {
	var packed bytes.Buffer
	w := tar.NewWriter(&packed)
	err := w.WriteHeader(&tar.Header{Name: path, Mode: mode, Size: int64(len(content)), ModTime: r.time, Format: tar.FormatUSTAR})
	if err == nil {
		_, err = w.Write(content)
	}
	if err := errors.Join(err, w.Close()); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed.Bytes())), nil })
}

// push sends the image to a registry, under the version.
func (r *release) push(ctx context.Context, repository string) error {
	to, err := name.NewTag(repository+":"+r.version, name.StrictValidation)
	if err != nil {
		return fmt.Errorf("-push is %q, expected a repository such as registry.example.com/holdfast: %w", repository, err)
	}
	index, err := layout.ImageIndexFromPath(filepath.Join(r.out, imageFolder))
	if err != nil {
		return err
	}
	return remote.WriteIndex(to, index, remote.WithContext(ctx))
}
