//go:build unix

package cluster

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
)

// Ports come from below the range that Linux and macOS hand to outgoing connections: a server that is
// restarted on its port must not find a client's connection there.
const (
	firstPort = 20000
	lastPort  = 29999
)

// portTable remembers which ports are reserved: within this process in a map, towards other processes of the same user
// by a record lock at the port's offset in one shared file. The kernel drops the locks of a process that ends.
type portTable struct {
	mu    sync.Mutex
	file  *os.File // open for the life of the process: closing any descriptor of it would drop all its locks
	taken map[int]bool
}

var ports = portTable{taken: map[int]bool{}}

// reserve returns n loopback ports on which nothing listens, and that no other caller gets until release.
func (t *portTable) reserve(n int) ([]int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.open(); err != nil {
		return nil, err
	}
	var got []int
	for tries := 0; len(got) < n; tries++ {
		if tries > 2000 {
			t.releaseLocked(got)
			return nil, fmt.Errorf("find %d free ports on 127.0.0.1 between %d and %d: %d found", n, firstPort, lastPort, len(got))
		}
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		if t.taken[port] || t.lock(port, syscall.F_WRLCK) != nil {
			continue
		}
		if !canListen(port) {
			_ = t.lock(port, syscall.F_UNLCK)
			continue
		}
		t.taken[port] = true
		got = append(got, port)
	}
	return got, nil
}

func (t *portTable) release(ports []int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.releaseLocked(ports)
}

func (t *portTable) releaseLocked(ports []int) {
	for _, port := range ports {
		delete(t.taken, port)
		_ = t.lock(port, syscall.F_UNLCK)
	}
}

func (t *portTable) open() error {
	if t.file != nil {
		return nil
	}
	path := filepath.Join(os.TempDir(), fmt.Sprintf("holdfast-ports-%d.lock", os.Getuid()))
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("open the table of reserved ports: %w", err)
	}
	t.file = file
	return nil
}

func (t *portTable) lock(port int, kind int16) error {
	return syscall.FcntlFlock(t.file.Fd(), syscall.F_SETLK, &syscall.Flock_t{
		Type: kind, Whence: io.SeekStart, Start: int64(port), Len: 1,
	})
}

func canListen(port int) bool {
	l, err := net.Listen("tcp", loopback(port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
