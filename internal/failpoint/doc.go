// Package failpoint lets a test kill a process at a chosen boundary: right before or right after it writes to the API server, runs a database statement, or
// acts on the world over HTTP.
//
// It is off and free unless the program is built with the tag failpoint: then API and HTTP hand back what they are given, and nothing of the rest is there.
//
// # Boundaries
//
// Each has a name, which says what is done and to what:
//
//	create aianalyses
//	create notificationrequests ApprovalNeeded           a notification is named with its purpose
//	update remediationrequests/status AnalysisStarted    a status write; the event is that of the entry which it appends
//	update workflowexecutions/status                     one that appends nothing
//	merge-patch notificationrequests metadata            the finalizer is added
//	json-patch notificationrequests/status status        the relay trims
//	json-patch notificationrequests metadata             the relay releases
//	get notificationrequests                             a read past the cache, as after a conflict
//	insert into notification_audit, commit               statements, see package postgres
//	post webhook                                         a delivery
//
// Reads of other kinds change nothing and decide no write of ours that is not a boundary itself. Kubernetes Events, leases and access reviews are not part of any
// protocol. None of them is a boundary.
//
// # Use
//
// Three environment variables name boundaries. Each gives the name, the count of the pass in this process, and the side:
//
//	HOLDFAST_FAILPOINT="commit:1:after"                                      SIGKILL there
//	HOLDFAST_FAILPOINT_CALL="get aianalyses:1:before=http://127.0.0.1:1/x"   POST to this URL there, and go on once it has answered; several with ", " between
//	HOLDFAST_FAILPOINT_LOG=file                                              append the name of each boundary that is passed
//
// The test that goes through all of them is in test/crash. A name that it does not know fails it.
package failpoint
