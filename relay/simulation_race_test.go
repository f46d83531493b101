//go:build race

package relay

// A simulation has one goroutine: the race detector finds nothing in it, and costs ten times as much.
const interleavings = 2000
