package serving

import (
	"net"
	"net/netip"
)

// Loopback says whether an address to listen on ("host:port") is reachable from this machine only: an address of 127.0.0.0/8, ::1, or localhost.
// An empty host is every interface, hence not.
func Loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
