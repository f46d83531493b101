// Package rules is the investigator that needs nothing but the cluster: it reads the target, its ReplicaSets, its pods and their events, and applies a playbook.
//
// # Model
//
// Gathering (gather.go, pods.go) turns what the API server holds into facts; the playbook (playbook.go and the files after it) is a pure function of facts and clock.
// Everything is read live and in bounded lists, never through a cache, which would hold all pods and events of the cluster.
//
// # The playbook
//
// The first rule with a finding decides: nothing to investigate, out of memory (memory.go), images, ConfigMaps and Secrets, crashes (rollout.go), pods without a node
// (scheduling.go), pods that do not get ready (readiness.go). docs/verdicts.md has every situation with its verdict; TestVerdicts makes them all and compares the page.
// A change to a rule is a change to that page, and raises Version.
//
// Out of memory comes first, since such a container is also in CrashLoopBackOff. blame.go decides whether a rollout caused a failure. A shortage of nodes has only confidence 70,
// so that with the usual threshold a person decides on fewer replicas.
//
// # Invariants
//
//   - The root cause, the recommendation and the evidence are about the same container, and the pods in which it fails.
//   - A recommendation can change what it blames: the container is in the target's template with the limit that the pod reached, and no update strategy waits for a person.
//   - Pods, containers, ReplicaSets, events and messages are untrusted, so they are bounded before any computation.
//
// # How it fails
//
// A failed read from the API server is an error; retry. Otherwise there is always a finding, even if the target does not exist.
package rules
