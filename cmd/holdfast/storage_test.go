package main

import (
	"testing"

	. "github.com/onsi/gomega"
)

// What would leave the service open to others is refused, with what to do instead.
func TestStorageRefusesToBeOpen(t *testing.T) {
	for name, test := range map[string]struct {
		flags serviceFlags
		want  string
	}{
		"no database":              {serviceFlags{}, "--database-url"},
		"plain, everywhere":        {serviceFlags{databaseURL: "x", endpointFlags: endpointFlags{plain: true}}, "--insecure-http works on a loopback address only"},
		"no authentication":        {serviceFlags{databaseURL: "x", endpointFlags: endpointFlags{noAuth: true, certFile: "c", keyFile: "k"}}, "--insecure-no-auth works on a loopback address only"},
		"self-signed, everywhere":  {serviceFlags{databaseURL: "x"}, "a self-signed certificate works on a loopback address only"},
		"plain with a certificate": {serviceFlags{databaseURL: "x", endpointFlags: endpointFlags{plain: true, certFile: "c"}}, "expected one of the two"},
	} {
		t.Run(name, func(t *testing.T) {
			test.flags.address = ":8443"
			NewWithT(t).Expect(test.flags.validate()).To(MatchError(ContainSubstring(test.want)))
		})
	}
	g := NewWithT(t)
	open := serviceFlags{databaseURL: "x", endpointFlags: endpointFlags{plain: true, noAuth: true}}
	open.address = "127.0.0.1:8080"
	g.Expect(open.validate()).To(Succeed())
	open.metricsAddress = ":9090"
	g.Expect(open.validate()).To(MatchError(ContainSubstring("--metrics-bind-address")))
	closed := serviceFlags{databaseURL: "x", endpointFlags: endpointFlags{certFile: "c", keyFile: "k"}}
	closed.address = "0.0.0.0:8443"
	g.Expect(closed.validate()).To(Succeed())
}

// A limit of zero would be the default in silence, and a negative one no limit.
func TestStorageRefusesLimitsThatAreNone(t *testing.T) {
	for _, name := range storageLimits {
		for _, value := range []string{"0", "-1"} {
			g, cmd := NewWithT(t), newStorageCommand()
			if cmd.Flags().Lookup(name).Value.Type() == "duration" {
				value += "s"
			}
			cmd.SetArgs([]string{"--" + name + "=" + value})
			g.Expect(cmd.Execute()).To(MatchError(And(HavePrefix("--"+name+" is "), HaveSuffix("expected more than 0"))))
		}
	}
}
