package notification

import (
	"net/netip"
	"testing"

	. "github.com/onsi/gomega"
)

func TestAddressPolicyRefusesWhereTheManagerMustNotSend(t *testing.T) {
	for ip, says := range map[string]string{ // "" where it may send
		"8.8.8.8": "", "2606:4700:4700::1111": "", "127.0.0.1": "", "::1": "", "::ffff:127.0.0.1": "", "64:ff9b::808:808": "",
		"192.31.196.1": "", "192.175.48.1": "", "100.63.255.255": "", "172.15.255.255": "", "223.255.255.255": "", "198.20.0.1": "", "2001:200::1": "", "2620:4f:8000::1": "",
		// A cluster's own.
		"10.96.0.1": "", "172.16.0.1": "", "192.168.0.1": "", "100.64.0.1": "", "100.100.100.199": "", "100.100.100.201": "", "fd00::1": "", "fd00:ec3::254": "", "fc00::1": "",

		"169.254.169.254": "a link-local address", "169.254.170.2": "a link-local address", "fe80::1": "a link-local address", "fe80::a9fe:a9fe%eth0": "a link-local address",
		"fec0::1":         "a link-local address",
		"100.100.100.200": "a metadata service's address", "168.63.129.16": "a metadata service's address", "192.0.0.192": "a metadata service's address",
		"fd00:ec2::254": "a metadata service's address", "fd00:ec2::23": "a metadata service's address", "fd20:ce::254": "a metadata service's address",
		"192.0.0.1": "a reserved", "192.0.0.170": "a reserved", "198.18.0.1": "a reserved", "198.19.255.255": "a reserved", "240.0.0.1": "a reserved", "100::1": "a reserved",
		"100:0:0:1::1": "a reserved", "2001:2::1": "a reserved", "2001:20::1": "a reserved", "5f00::1": "a reserved",
		"192.0.2.1": "a documentation", "198.51.100.1": "a documentation", "203.0.113.7": "a documentation", "2001:db8::1": "a documentation", "3fff::1": "a documentation",
		"0.0.0.0": "unspecified", "0.1.2.3": "unspecified", "::": "unspecified", "224.0.0.1": "multicast", "239.255.255.255": "multicast", "ff02::1": "multicast", "255.255.255.255": "broadcast",
		"192.88.99.1": "a translated or tunnelled",

		// The same in other forms.
		"::ffff:169.254.169.254": "a link-local", "::ffff:100.100.100.200": "a metadata service's", "::169.254.169.254": "a translated", "::ffff:0:169.254.169.254": "a translated",
		"64:ff9b::a9fe:a9fe": "a link-local", "64:ff9b::6464:64c8": "a metadata service's", "64:ff9b::c000:c0": "a metadata service's", "64:ff9b::7f00:1": "a loopback",
		"64:ff9b:1::a9fe:a9fe": "a translated", "64:ff9b:1:fffe:a9fe:a9fe::": "a translated", "2002:a9fe:a9fe::1": "a translated", "2002:6464:64c8::": "a translated",
		"2001:0:4136:e378:8000:63bf:5601:5601": "a translated",
	} {
		err := addressPolicy{loopback: true}.checkIP(netip.MustParseAddr(ip))
		if says == "" {
			NewWithT(t).Expect(err).NotTo(HaveOccurred(), ip)
		} else {
			NewWithT(t).Expect(err).To(MatchError(ContainSubstring(says)), ip)
			NewWithT(t).Expect(err.Error()).NotTo(ContainSubstring(ip))
		}
	}
	for _, ip := range []string{"127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"} {
		NewWithT(t).Expect(addressPolicy{}.checkIP(netip.MustParseAddr(ip))).To(MatchError(ContainSubstring("a loopback")), ip)
	}
	NewWithT(t).Expect(addressPolicy{}.check("unix:/run/x")).To(MatchError(ContainSubstring("a malformed")))
}

// Whatever form an IPv4 address is written in as IPv6, the manager does not send there if it does not send to the address itself.
func FuzzAddressForms(f *testing.F) {
	for _, ip := range []string{"169.254.169.254", "100.100.100.200", "192.0.0.192", "127.0.0.1", "8.8.8.8", "10.0.0.1", "255.255.255.255", "0.0.0.0"} {
		a := netip.MustParseAddr(ip).As4()
		f.Add(a[0], a[1], a[2], a[3], uint64(1))
	}
	f.Fuzz(func(t *testing.T, a, b, c, d byte, rest uint64) {
		ip := netip.AddrFrom4([4]byte{a, b, c, d})
		policy := addressPolicy{}
		plain := policy.checkIP(ip)
		low := [8]byte{byte(rest >> 56), byte(rest >> 48), byte(rest >> 40), byte(rest >> 32), byte(rest >> 24), byte(rest >> 16), byte(rest >> 8), byte(rest)}
		for form, bytes := range map[string][16]byte{
			"mapped":          {10: 0xff, 11: 0xff, 12: a, 13: b, 14: c, 15: d},
			"compatible":      {12: a, 13: b, 14: c, 15: d},
			"translated":      {8: 0xff, 9: 0xff, 12: a, 13: b, 14: c, 15: d},
			"NAT64":           {1: 0x64, 2: 0xff, 3: 0x9b, 12: a, 13: b, 14: c, 15: d},
			"local NAT64":     {1: 0x64, 2: 0xff, 3: 0x9b, 5: 1, 6: low[6], 7: low[7], 8: low[0], 9: low[1], 10: low[2], 11: low[3], 12: a, 13: b, 14: c, 15: d},
			"local NAT64 /48": {1: 0x64, 2: 0xff, 3: 0x9b, 5: 1, 6: a, 7: b, 9: c, 10: d, 11: low[3], 12: low[4], 13: low[5], 14: low[6], 15: low[7]},
			"6to4":            {0x20, 0x02, a, b, c, d, low[6], low[7], low[0], low[1], low[2], low[3], low[4], low[5]},
			"Teredo":          {0x20, 0x01, 4: low[0], 5: low[1], 6: low[2], 7: low[3], 10: low[6], 11: low[7], 12: ^a, 13: ^b, 14: ^c, 15: ^d},
		} {
			if err := policy.checkIP(netip.AddrFrom16(bytes)); err == nil && plain != nil {
				t.Errorf("%s, the %s form of %s, is allowed; %s is not: %v", netip.AddrFrom16(bytes), form, ip, ip, plain)
			}
		}
		if err := policy.check(netip.AddrPortFrom(ip, 80).String()); (err == nil) != (plain == nil) {
			t.Errorf("with a port %s is %v, without one %v", ip, err, plain)
		}
	})
}
