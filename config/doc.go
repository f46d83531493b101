// Package config contains the manifests of Holdfast, and installs those that the API server needs.
//
// The directories beside this file are kustomize bases for people (`kubectl apply -k config/default`). The package embeds the CustomResourceDefinitions, the
// roles for people and the admission policies from the same files, so that `holdfast dev` and the tests use the deployed manifests.
//
// The API server enforces a policy some moments after it accepted it. So Install returns only after each policy has refused a dry run. With several API servers this
// is known only for the one that answered.
//
// Install is idempotent (server-side apply, field manager "holdfast", force). It overwrites changes that others made in these objects, and touches nothing else.
// If it fails, the objects that were applied stay.
package config
