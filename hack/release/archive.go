package main

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// archive is one of each platform.
type archive struct {
	name     string
	programs []string
	files    []string // of the repository
}

// archivesOf are those of a platform. `holdfast dev` needs a Unix, so Windows gets the plugin only.
func archivesOf(p platform) []archive {
	all := []archive{{"kubectl-holdfast", []string{"kubectl-holdfast"}, []string{"LICENSE", "cmd/kubectl-holdfast/kubectl_complete-holdfast"}}}
	if p.os != "windows" {
		all = append(all, archive{"holdfast", []string{"holdfast"}, []string{"LICENSE", "README.md", "CHANGELOG.md"}})
	}
	return all
}

// goBuild builds a program as `make build` does.
func goBuild(source, version string) func(ctx context.Context, p platform, program, to string) error {
	return func(ctx context.Context, p platform, program, to string) error {
		to, err := filepath.Abs(to) // the command runs in another folder
		if err != nil {
			return err
		}
		c := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X main.version="+version, "-o", to, "./cmd/"+program)
		c.Dir, c.Stderr = source, os.Stderr
		c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=", "GOOS="+p.os, "GOARCH="+p.arch) // this tool runs without go.work, and our programs are built with it
		return c.Run()
	}
}

// archives builds the programs of a platform, and packs each with its bill of materials.
func (r *release) archives(ctx context.Context, p platform) error {
	for _, b := range archivesOf(p) {
		dir := filepath.Join(r.out, "programs", p.os+"_"+p.arch)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		var members []string
		for _, program := range b.programs {
			to := filepath.Join(dir, program)
			if p.os == "windows" {
				to += ".exe"
			}
			if err := r.build(ctx, p, program, to); err != nil {
				return fmt.Errorf("build %s: %w", program, err)
			}
			members = append(members, to)
		}
		for _, file := range b.files {
			members = append(members, filepath.Join(r.source, file))
		}
		name := fmt.Sprintf("%s_%s_%s", b.name, p.os, p.arch)
		if err := r.pack(filepath.Join(r.out, name), p, members); err != nil {
			return fmt.Errorf("pack %s: %w", name, err)
		}
		if err := r.materials(filepath.Join(r.out, name+".cdx.json"), members[0]); err != nil {
			return fmt.Errorf("bill of materials of %s: %w", name, err)
		}
	}
	return nil
}

// pack writes a .zip for Windows and a .tar.gz for others.
func (r *release) pack(base string, p platform, members []string) error {
	if p.os == "windows" {
		return write(base+".zip", func(w io.Writer) error { return r.zip(w, members) })
	}
	return write(base+".tar.gz", func(w io.Writer) error { return r.tar(w, members) })
}

// mode is that of a member: what begins with ELF's, Mach-O's or a script's mark is a program, and the checkout's umask does not matter.
func mode(content []byte) fs.FileMode {
	for _, mark := range []string{"\x7fELF", "\xcf\xfa\xed\xfe", "#!"} {
		if strings.HasPrefix(string(content[:min(4, len(content))]), mark) {
			return 0o755
		}
	}
	return 0o644
}

func (r *release) tar(w io.Writer, members []string) error {
	compressed := gzip.NewWriter(w)
	packed := tar.NewWriter(compressed)
	for _, member := range members {
		content, err := os.ReadFile(member)
		if err != nil {
			return err
		}
		header := &tar.Header{Name: filepath.Base(member), Mode: int64(mode(content)), Size: int64(len(content)), ModTime: r.time, Format: tar.FormatUSTAR}
		if err := packed.WriteHeader(header); err != nil {
			return err
		}
		if _, err := packed.Write(content); err != nil {
			return err
		}
	}
	if err := packed.Close(); err != nil {
		return err
	}
	return compressed.Close()
}

func (r *release) zip(w io.Writer, members []string) error {
	packed := zip.NewWriter(w)
	for _, member := range members {
		content, err := os.ReadFile(member)
		if err != nil {
			return err
		}
		header := &zip.FileHeader{Name: filepath.Base(member), Method: zip.Deflate, Modified: r.time}
		header.SetMode(mode(content))
		into, err := packed.CreateHeader(header)
		if err != nil {
			return err
		}
		if _, err := into.Write(content); err != nil {
			return err
		}
	}
	return packed.Close()
}

// checksums writes those of every artefact, as sha256sum does.
func (r *release) checksums() error {
	var lines []string
	found, err := os.ReadDir(r.out)
	if err != nil {
		return err
	}
	for _, file := range found {
		if file.IsDir() {
			continue
		}
		sum, err := sha256Of(filepath.Join(r.out, file.Name()))
		if err != nil {
			return err
		}
		lines = append(lines, sum+"  "+file.Name()+"\n")
	}
	slices.Sort(lines)
	return os.WriteFile(filepath.Join(r.out, "SHA256SUMS"), []byte(strings.Join(lines, "")), 0o644)
}

func sha256Of(path string) (string, error) {
	content, err := os.ReadFile(path)
	return fmt.Sprintf("%x", sha256.Sum256(content)), err
}

// write creates a file, and reports every error on the way to the disk.
func write(path string, content func(io.Writer) error) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := content(file); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}
