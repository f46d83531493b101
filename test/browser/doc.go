// Package browser tests the pages of the report service in a real Chromium, on a real PostgreSQL: accessibility, keyboard, contrast, policy, print, phone width, and texts that try to be
// more than text. It also takes the screenshots of docs/reports.md (make screenshots).
//
// # What it needs
//
// Chromium from the machine, and axe-core, which hack/axe-core puts into the user's cache. Where one is missing, its tests are skipped with a line NOT TRIED.
//
// The fonts are the tests' own: a page takes those of the reader's system, and what fits with one does not with another. So each width is tried with usual fonts and with wide ones.
package browser
