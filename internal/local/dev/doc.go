// Package dev puts a whole Holdfast on one machine: the local cluster with its CRDs, roles and enforced policies, a migrated PostgreSQL, and the manager and the storage
// service as processes of their own, so that they can be killed and restarted. `holdfast dev` and `holdfast demo` are made of it.
//
// Everything that it starts is gone when Stop returns, and also when this process ends in any other way.
package dev
