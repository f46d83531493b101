// Package rar builds Remediation Analysis Reports from audit rows, and renders them as JSON, Markdown, HTML and SVG.
//
// # Model
//
// Build is a function of its Input: the rows of one remediation that a reader may see, what stands beside them, and what is known of comparable remediations. It reads no
// clock, no database and no network, so the same Input gives the same Report, and a Report the same bytes in each format. Whoever calls it reads the rows in one snapshot.
//
// # What a report rests on
//
// Anybody may post rows under any remediation id. So a report counts the rows of the resource whose uid is the id, and of the children that its records name by uid. All other rows are
// counted in Report.OtherRows, and no figure rests on them. Where no such resource has a row, rows that were posted over REST are reported as far as they go, and the report is partial.
//
// Every figure and statement has refs into Report.Evidence. Within a resource the order is sequence. Across resources it is time, and clocks that disagree are reported, not corrected.
// A time span without an end is open: it has no length. A window that is not over is too-early: its result is not guessed.
//
// # How it fails
//
// Build takes whatever rows there are and does not fail: what is missing, changed or contradictory is said in Report.Complete. Texts of rows are other people's. Markdown, HTML and SVG show
// them cleaned (Clean) and bounded; JSON has them as they are.
package rar
