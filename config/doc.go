// Package config carries the manifests of Holdfast inside the program, and installs what the API server itself must know.
//
// The folders beside this file are kustomize bases for people (`kubectl apply -k config/default`). From the same files this package embeds
// the CustomResourceDefinitions, the roles for people and the admission policies, so that `holdfast dev` and the tests run with what is deployed elsewhere.
//
// The API server enforces a policy some moments after it has accepted it. Install therefore returns only once each policy has refused a
// dry run; with several API servers that holds for the one which answered.
//
// Install is idempotent (server-side apply, field manager "holdfast", force): it overwrites what others have changed in these objects, and
// leaves everything else alone. When it fails, what was applied stays.
package config
