package notification

import (
	"fmt"
	"net/netip"
)

// addressPolicy says where the manager may connect to. It is asked with addresses, after names were resolved, so that no name can lead elsewhere.
//
// What is reachable from anywhere is allowed, and what a cluster uses for its own Pods and Services: 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10 and fc00::/7.
type addressPolicy struct{ loopback bool }

// refusedError says that policy forbids an address. It does not name it.
type refusedError struct{ what string }

func (e refusedError) Error() string {
	return fmt.Sprintf("the URL leads to %s address, which the manager does not allow", e.what)
}

func (a addressPolicy) check(address string) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return refusedError{"a malformed"}
	}
	return a.checkIP(at.Addr())
}

func (a addressPolicy) checkIP(ip netip.Addr) error {
	ip = ip.Unmap().WithZone("")
	if ip.IsLoopback() {
		if a.loopback {
			return nil
		}
		return refusedError{"a loopback"}
	}
	// A gateway translates these into IPv4: hosts without IPv4 reach all of it so.
	if nat64.Contains(ip) {
		b := ip.As16()
		return addressPolicy{}.checkIP(netip.AddrFrom4([4]byte(b[12:])))
	}
	for _, r := range refusedRanges {
		if r.prefix.Contains(ip) {
			return refusedError{r.what}
		}
	}
	return nil
}

// nat64 is the well-known prefix of RFC 6052: the last four bytes are an IPv4 address.
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// Words for refused ranges, with their articles.
const (
	metadata    = "a metadata service's"
	linkLocal   = "a link-local"
	multicast   = "a multicast, broadcast or unspecified"
	reserved    = "a reserved"
	documenting = "a documentation"
	translated  = "a translated or tunnelled"
)

// refusedRanges are the special-purpose ranges from which no receiver answers, or only services of the machine and of its cloud. They are from
// https://www.iana.org/assignments/iana-ipv4-special-registry and https://www.iana.org/assignments/iana-ipv6-special-registry (as of 2025), but for those that are
// globally reachable, and those that addressPolicy allows; multicast and metadata services are added. Prefixes that hold an IPv4 address at a place that depends on the
// network are refused as a whole.
var refusedRanges = []struct {
	prefix netip.Prefix
	what   string
}{
	// Services of clouds at addresses that look like others.
	{netip.MustParsePrefix("100.100.100.200/32"), metadata}, // Alibaba Cloud, in 100.64.0.0/10
	{netip.MustParsePrefix("168.63.129.16/32"), metadata},   // Azure's WireServer
	{netip.MustParsePrefix("192.0.0.192/32"), metadata},     // Oracle Cloud, in 192.0.0.0/24
	{netip.MustParsePrefix("fd00:ec2::/32"), metadata},      // AWS: 254 instance metadata, 23 credentials of Pods
	{netip.MustParsePrefix("fd20:ce::/32"), metadata},       // Google Cloud

	{netip.MustParsePrefix("0.0.0.0/8"), multicast},         // this network, RFC 791
	{netip.MustParsePrefix("169.254.0.0/16"), linkLocal},    // RFC 3927
	{netip.MustParsePrefix("192.0.0.0/24"), reserved},       // IETF protocol assignments, RFC 6890
	{netip.MustParsePrefix("192.0.2.0/24"), documenting},    // RFC 5737
	{netip.MustParsePrefix("192.88.99.0/24"), translated},   // 6to4 relays, RFC 7526
	{netip.MustParsePrefix("198.18.0.0/15"), reserved},      // benchmarking, RFC 2544
	{netip.MustParsePrefix("198.51.100.0/24"), documenting}, // RFC 5737
	{netip.MustParsePrefix("203.0.113.0/24"), documenting},  // RFC 5737
	{netip.MustParsePrefix("224.0.0.0/4"), multicast},       // RFC 5771
	{netip.MustParsePrefix("255.255.255.255/32"), multicast},
	{netip.MustParsePrefix("240.0.0.0/4"), reserved}, // RFC 1112

	{netip.MustParsePrefix("::/128"), multicast},
	{netip.MustParsePrefix("::/96"), translated},           // IPv4-compatible, RFC 4291
	{netip.MustParsePrefix("::ffff:0:0:0/96"), translated}, // IPv4-translated, RFC 2765
	{netip.MustParsePrefix("64:ff9b:1::/48"), translated},  // NAT64 for local use, RFC 8215
	{netip.MustParsePrefix("100::/64"), reserved},          // discard only, RFC 6666
	{netip.MustParsePrefix("100:0:0:1::/64"), reserved},    // dummy prefix, RFC 9780
	{netip.MustParsePrefix("2001::/32"), translated},       // Teredo, RFC 4380
	{netip.MustParsePrefix("2001::/23"), reserved},         // IETF protocol assignments, RFC 2928
	{netip.MustParsePrefix("2001:db8::/32"), documenting},  // RFC 3849
	{netip.MustParsePrefix("2002::/16"), translated},       // 6to4, RFC 3056
	{netip.MustParsePrefix("3fff::/20"), documenting},      // RFC 9637
	{netip.MustParsePrefix("5f00::/16"), reserved},         // SRv6 SIDs, RFC 9602
	{netip.MustParsePrefix("fe80::/10"), linkLocal},        // RFC 4291
	{netip.MustParsePrefix("fec0::/10"), linkLocal},        // site-local, RFC 3879
	{netip.MustParsePrefix("ff00::/8"), multicast},         // RFC 4291
}
