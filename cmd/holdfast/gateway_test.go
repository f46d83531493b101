package main

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
)

// Whoever reaches the gateway can let remediations begin, so it does not run open by mistake.
func TestTheGatewayRefusesToBeOpen(t *testing.T) {
	short := filepath.Join(t.TempDir(), "token")
	NewWithT(t).Expect(os.WriteFile(short, []byte("secret\n"), 0o600)).To(Succeed())
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no token":          {[]string{"--insecure-http"}, "give --token-file (HOLDFAST_TOKEN_FILE)"},
		"no such token":     {[]string{"--insecure-http", "--token-file=/nowhere"}, "read the token file"},
		"a short token":     {[]string{"--insecure-http", "--token-file=" + short}, "has a token of 6 bytes, expected at least 16"},
		"plain, everywhere": {[]string{"--insecure-http", "--bind-address=:8443", "--token-file=" + short}, "--insecure-http works on a loopback address only"},
		"for everybody":     {[]string{"--insecure-no-auth", "--bind-address=:8443", "--tls-cert-file=c", "--tls-key-file=k"}, "--insecure-no-auth works on a loopback address only"},
		"self-signed":       {[]string{"--bind-address=:8443", "--token-file=" + short}, "a self-signed certificate works on a loopback address only"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := newGatewayCommand()
			cmd.SetArgs(c.args)
			cmd.SilenceErrors, cmd.SilenceUsage = true, true
			NewWithT(t).Expect(cmd.ExecuteContext(t.Context())).To(MatchError(ContainSubstring(c.want)))
		})
	}
}

// A limit of zero or less would be none.
func TestTheGatewayRefusesLimitsThatAreNone(t *testing.T) {
	for _, name := range gatewayLimits {
		for _, value := range []string{"0", "-1"} {
			g, cmd := NewWithT(t), newGatewayCommand()
			if cmd.Flags().Lookup(name).Value.Type() == "duration" {
				value += "s"
			}
			cmd.SilenceErrors, cmd.SilenceUsage = true, true
			cmd.SetArgs([]string{"--" + name + "=" + value})
			g.Expect(cmd.Execute()).To(MatchError(And(HavePrefix("--"+name+" is "), HaveSuffix("expected more than 0"))))
		}
	}
}
