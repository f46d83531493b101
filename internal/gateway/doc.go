// Package gateway turns the alerts of Alertmanager into RemediationRequests: `holdfast gateway`.
//
// # Model
//
// Alertmanager posts a message with alerts (webhook version 4). Each alert that fires names an object by its labels (subject.go). The API server says which workload owns that object (target.go).
// Namespace and workload are the incident; its fingerprint is their hash. The namespace says with a label that it takes part, and with a ConfigMap what its requests get (policy.go). Then the
// incident has an open request already, or one is created (incident.go). The ledger is a watch of all requests (ledger.go).
//
// # Invariants
//
//   - One incident has at most one open request, with any number of gateways and Alertmanagers. The name of a request is a hash of the incident and of the uid of its last finished request, so the
//     second one to create it gets AlreadyExists. No lock is needed, and nothing is remembered outside of the cluster.
//   - The answer is 200 only when every alert is done with: its request is created, or open, or there is a reason why it makes none. Otherwise it is 503, and Alertmanager sends the alerts again.
//   - A target is never guessed. An alert that names no workload, several, or a pod that is gone is left out.
//   - The gateway has no right to any ServiceAccount. It may name one in a request only where the namespace's administrator granted it impersonate; the policy holdfast-impersonation checks that.
//
// # Trust
//
// Whoever has the token chooses labels, texts and times. They choose neither namespace policy nor account, and reach only namespaces that take part. Whoever may write the ConfigMap of a namespace
// chooses approval and channels there, and among the accounts that the gateway was granted. Whoever may create pods in a namespace chooses their owners, hence a workload of that namespace.
// One process works for all namespaces, so what a tenant wrote costs little, however it is written: policies (yaml.go, policy.go), alerts (payload.go), requests of other hands (incident.go).
// What is still slow is slow for that tenant: a namespace has a quarter of the places (lanes.go), and the namespaces of a message take turns (batch.go).
// Where Prometheus enforces the label namespace, a tenant's alerts are about that namespace only: with Config.ExportersNeedLabel, exported_namespace
// counts only from exporters that the cluster's administrator has named (subject.go).
//
// # How it fails
//
// Without the API server it answers 503, as with too many requests at once. A lost reply of the API server is found again by the name. A request that finishes, or is deleted, between the look and
// the create is noticed: the name is taken, or a second open request is there; then the newer one is cancelled and the alert is asked for again. A stale ledger only costs more
// round trips, since what it says is read again before it counts.
package gateway
