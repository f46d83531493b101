//go:build !race

package relay

const interleavings = 20_000
