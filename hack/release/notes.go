package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// notesFile is what GitHub shows beside the artefacts.
const notesFile = "release-notes.md"

var (
	heading   = regexp.MustCompile(`(?m)^## .*\n`)
	reference = regexp.MustCompile(`(?m)^\[[^]]+\]: .*\n`)
	// relative is the beginning of a link to a file of the repository, which leads nowhere from the page of a release.
	relative = regexp.MustCompile(`\]\(([\w./-]+(?:#[\w-]+)?)\)`)
)

// notes is the section of the version in CHANGELOG.md. Only what is between two versions and is not pushed needs none.
func (r *release) notes() (string, error) {
	content, err := os.ReadFile(filepath.Join(r.source, "CHANGELOG.md"))
	if err != nil {
		return "", err
	}
	text, begin := string(content), "## ["+strings.TrimPrefix(r.version, "v")+"] - "
	for _, at := range heading.FindAllStringIndex(text, -1) {
		date, found := strings.CutPrefix(strings.TrimSpace(text[at[0]:at[1]]), begin)
		if !found {
			continue
		}
		if _, err := time.Parse(time.DateOnly, date); err != nil && r.publish {
			return "", fmt.Errorf("CHANGELOG.md has %q behind version %s, expected the date of the release, as in 2026-12-01", date, r.version)
		}
		section := text[at[1]:]
		if next := heading.FindStringIndex(section); next != nil {
			section = section[:next[0]]
		}
		section = reference.ReplaceAllString(section, "")
		return strings.TrimSpace(relative.ReplaceAllString(section, "](https://github.com/holdfast-dev/holdfast/blob/"+r.version+"/$1)")) + "\n", nil
	}
	if r.publish || !strings.Contains(r.version, "-") {
		return "", fmt.Errorf("CHANGELOG.md has no section %q, expected it with what is new in the version; write it", strings.TrimSuffix(begin, " - "))
	}
	return "", nil
}
