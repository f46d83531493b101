// Package dev runs a whole Holdfast on one machine: the local cluster with CRDs, roles and enforced policies, a migrated PostgreSQL, and the manager, the storage and report
// services and the gateway as separate processes, so that they can be killed and restarted. `holdfast dev` and `holdfast demo` use it.
//
// All servers are stopped when Stop returns, and also when this process ends in any other way.
package dev
