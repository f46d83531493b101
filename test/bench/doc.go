// Command bench measures what the audit trail costs, on real servers: etcd, kube-apiserver, PostgreSQL. `make bench` runs it, prints a table and writes bench.json.
//
// # Model
//
// A measure is a file. Machines differ, and one machine differs from minute to minute, so each measure runs a control beside its subject, in turns and in
// one process, and reports ratios: the median of the rounds and the spread from the lowest to the highest.
//
// The subject of most measures is a Ticket, a kind of this program's own with the outbox of Holdfast's kinds, rules and all, and a status that a control can
// write without one. Its controller is an ordinary one: it reads from its informer, changes the status, and is started again by the event of its own write.
//
// # What it is not
//
// Nothing here asserts anything: a target that is missed is a line in the table. Tests hold no timings.
package main
