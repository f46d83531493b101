// Package install tests that Holdfast can be installed, checked, upgraded and uninstalled: by the chart with Helm's own library, by kustomize, and by install.yaml, on a real API server.
//
// It is a module of its own, so that nobody who imports Holdfast's libraries depends on Helm.
package install
