// Package rules is the investigator that needs nothing but the cluster: it reads the target, its ReplicaSets, its pods and their events, and applies a playbook.
//
// # Model
//
// Gathering (gather.go, pods.go) turns what the API server holds into facts; the playbook (playbook.go and the files after it) is a pure function of facts and clock.
// Everything is read live and in bounded lists, never through a cache, which would hold all pods and events of the cluster.
//
// # The playbook, in this order
//
//	what is found                                              recommended                        cause  action (confidence, percent)
//	the target is gone, going, paused, scaled to zero, or of   nothing                               95
//	a kind that the rules do not know
//	containers killed as OOMKilled, with a memory limit        increase-memory: twice the limit      95      85
//	the same, other containers crash for other reasons too                                           80      75
//	images that cannot be pulled, since the newest rollout     rollout-undo                          95      92
//	containers that crash or cannot be created, since the      rollout-undo                          90      88
//	newest rollout; 5 more if pods of the earlier revision
//	still run
//	containers that crash, and no rollout explains it          restart-pods                          60      40
//	pods that no node has room for                             scale to what has room                90      70
//	a rollout that is stuck, or pods that do not get ready     rollout-restart                       60      65 (50 without a deadline exceeded)
//	everything is available                                    nothing                               90
//
// "Since the newest rollout" means: all failing pods are of the newest revision, there is an earlier one that differs in what fails, and the rollout was not over for more than a day
// when the pods began to fail. Out of memory comes first, since such a container is also in CrashLoopBackOff. The new memory limit is twice the old one, rounded up to
// whole MiB, and at most 64 GiB. A shortage of nodes is 70 sure only, so that at the usual threshold a person decides on fewer replicas.
//
// # How it fails
//
// What the API server does not answer is an error: ask again. What it answers is always a finding; a target that does not exist is one too.
package rules
