// Package alloc measures what tested code allocates. It is apart from testenv, so that tests of small packages need no servers to link.
package alloc

import "runtime"

// Bytes is how many bytes f allocates, with what other goroutines allocate meanwhile.
func Bytes(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
