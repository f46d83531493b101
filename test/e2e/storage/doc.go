// Package storage holds the tests of `holdfast storage` as its users see it: a process beside a cluster, called by whoever has a token and a shell.
package storage
