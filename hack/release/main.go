// Command release makes what a version publishes, into a folder: archives of the programs for each platform with checksums and bills of materials, the image, the manifest of the
// plugin for krew, and the notes of the release from CHANGELOG.md. `make release-snapshot` runs it. The same commit and the same Go give the same bytes: times are those of the commit.
//
// It is not goreleaser: that is 1,788 packages and 2.6 GB of modules, and did not compile within 13 minutes on a loaded machine with two cores. The image is put together of the program that is in
// the archives, so their checksums hold for it too; ko would compile it again.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// platform is one that programs are built for.
type platform struct{ os, arch string }

func (p platform) String() string { return p.os + "/" + p.arch }

// release is what is made of one commit.
type release struct {
	version string
	time    time.Time
	source  string // the repository
	out     string
	publish bool // not only a trial
	build   func(ctx context.Context, p platform, program, to string) error
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	version := flags.String("version", "", "version, as in v0.1.0 or v0.1.0-3-gabcdef")
	at := flags.Int64("time", 0, "time of the commit, in seconds since 1970")
	source := flags.String("source", "", "folder of the repository")
	out := flags.String("out", "", "folder for the artefacts; must be empty or not exist")
	platforms := flags.String("platforms", "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64,windows/amd64,windows/arm64", "platforms, comma-separated")
	push := flags.String("push", "", "image repository to push to, as in registry.example.com/holdfast (default: the image is only written to a file)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	r := &release{version: *version, time: time.Unix(*at, 0).UTC(), source: *source, out: *out, publish: *push != "", build: goBuild(*source, *version)}
	wanted, err := parse(*platforms)
	if err := errors.Join(err, r.validate()); err != nil {
		return err
	}
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return err
	}
	if err := r.make(ctx, wanted); err != nil {
		return err
	}
	if err := r.tryImage(ctx, wanted, os.Stdout); err != nil {
		return fmt.Errorf("try the image: %w", err)
	}
	if *push != "" {
		return r.push(ctx, *push)
	}
	return nil
}

var versions = regexp.MustCompile(`^v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$`)

func (r *release) validate() error {
	var errs []error
	if !versions.MatchString(r.version) {
		errs = append(errs, fmt.Errorf("-version is %q, expected a version such as v0.1.0 or v0.0.0-abcdef; set it", r.version))
	}
	if r.time.Unix() <= 0 {
		errs = append(errs, fmt.Errorf("-time is %d, expected the time of the commit (git log -1 --format=%%ct)", r.time.Unix()))
	}
	if _, err := os.Stat(r.source + "/cmd/holdfast"); err != nil {
		errs = append(errs, fmt.Errorf("-source is %q, expected the folder of the repository: %w", r.source, err))
	}
	if found, err := os.ReadDir(r.out); r.out == "" || (err == nil && len(found) > 0) {
		errs = append(errs, fmt.Errorf("-out is %q, expected an empty folder; remove what is there, or name another", r.out))
	}
	return errors.Join(errs...)
}

func parse(list string) (all []platform, err error) {
	for name := range strings.SplitSeq(list, ",") {
		system, arch, ok := strings.Cut(name, "/")
		if !ok || system == "" || arch == "" {
			return nil, fmt.Errorf("-platforms has %q, expected OS/ARCHITECTURE as in linux/amd64", name)
		}
		all = append(all, platform{system, arch})
	}
	return all, nil
}

// make writes all artefacts.
func (r *release) make(ctx context.Context, platforms []platform) error {
	notes, err := r.notes()
	if err != nil {
		return err
	}
	for _, p := range platforms {
		if err := r.archives(ctx, p); err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
	}
	if err := r.image(platforms); err != nil {
		return fmt.Errorf("image: %w", err)
	}
	if err := r.checksums(); err != nil {
		return fmt.Errorf("checksums: %w", err)
	}
	if err := r.krew(); err != nil {
		return fmt.Errorf("manifest for krew: %w", err)
	}
	if notes == "" {
		return nil
	}
	return os.WriteFile(filepath.Join(r.out, notesFile), []byte(notes), 0o644)
}
