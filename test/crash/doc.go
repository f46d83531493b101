// Package crash kills a manager at every boundary of every protocol, and looks whether anything was lost, doubled or done twice.
//
// A scenario is a small world of its own in a shared API server and database: a namespace, resources, an HTTP server that is told and asked, and people who decide. First
// each scenario runs undisturbed, and the manager, which is built with the tag failpoint, writes down the boundaries that it passes (package failpoint). They must be
// those of testdata/boundaries.txt: who adds a write finds it missing there. Then, for each boundary, a manager dies right before it, the next one right after it, and
// a third one finishes the work. The oracle (package oracle) compares what was appended with the rows, without any code of the outbox.
package crash
