// Package gateway is the part of chaos that breaks things around `holdfast gateway`.
//
// # Model
//
// One world has an API server and two gateways, processes of their own. A schedule has a namespace with workloads, and two senders that post their alerts as a pair of Alertmanagers does: in
// groups, to either gateway, again and again until the answer is 200. A controller ends requests, and then the alerts of the workload fire anew. Meanwhile gateways are killed or paused, and the API
// server is killed, as drawn from the seed.
//
// # Invariants
//
//   - The witness watches every committed version of every request, and shares no code with the gateway: a workload never has two open requests.
//   - Every alert that was answered 200 has a request of its workload that did not end before the alert began.
//   - After the faults every workload whose alert fires has exactly one open request.
package gateway
