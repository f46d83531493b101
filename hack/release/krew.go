package main

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"text/template"
)

// krew writes the manifest of the plugin from .krew.yaml, whose function addURIAndSha is that of krew-release-bot. Without the archives of all platforms there is none.
func (r *release) krew() error {
	text, err := os.ReadFile(filepath.Join(r.source, ".krew.yaml"))
	if err != nil {
		return err
	}
	manifest, err := template.New(".krew.yaml").Funcs(template.FuncMap{"addURIAndSha": r.uriAndSha}).Parse(string(text))
	if err != nil {
		return err
	}
	var written strings.Builder
	err = manifest.Execute(&written, map[string]string{"TagName": r.version})
	if errors.Is(err, os.ErrNotExist) {
		fmt.Fprintln(os.Stderr, "no manifest for krew: it names an archive of a platform that was not built:", err)
		return nil
	}
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.out, "holdfast.yaml"), []byte(written.String()), 0o644)
}

// uriAndSha is the address of an archive, which is a template too, and its checksum.
func (r *release) uriAndSha(address, tag string) (string, error) {
	parsed, err := template.New("uri").Parse(address)
	if err != nil {
		return "", err
	}
	var uri strings.Builder
	if err := parsed.Execute(&uri, map[string]string{"TagName": tag}); err != nil {
		return "", err
	}
	sum, err := sha256Of(filepath.Join(r.out, path.Base(uri.String())))
	return fmt.Sprintf("uri: %s\n    sha256: %s", uri.String(), sum), err
}
