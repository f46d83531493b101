//go:build unix

// Package monitor runs Debian's Prometheus with the rules that Holdfast ships, and asks it what it finds. It is for tests and chaos.
package monitor
