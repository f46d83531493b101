package command

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/spf13/pflag"

	"github.com/holdfast-dev/holdfast/internal/credential"
)

// Variable is the name of the environment variable that stands for a flag.
func Variable(flag string) string {
	if flag == "kubeconfig" {
		return "KUBECONFIG"
	}
	return "HOLDFAST_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// FromEnvironment sets every flag that was not given from its variable, without blanks and newlines around it: a variable of blanks counts as not given.
func FromEnvironment(flags *pflag.FlagSet, lookup func(string) (string, bool)) error {
	var errs []error
	flags.VisitAll(func(f *pflag.Flag) {
		name := "--" + f.Name
		if !f.Changed && f.Name != "help" && f.Name != "version" {
			value, _ := lookup(Variable(f.Name))
			if value = strings.TrimSpace(value); value == "" {
				return
			}
			name = Variable(f.Name)
			if err := flags.Set(f.Name, value); err != nil {
				errs = append(errs, fmt.Errorf("variable %s is %s: %w", name, Shown(value), withoutValue(err)))
			}
		}
		errs = append(errs, checkPath(f, name))
	})
	return errors.Join(errs...)
}

// checkPath refuses the text of a file in the place of its path, which errors of reading it would quote.
func checkPath(f *pflag.Flag, name string) error {
	if f.Name != "kubeconfig" && f.Name != "acknowledged" && !strings.HasSuffix(f.Name, "file") || !strings.ContainsFunc(f.Value.String(), unicode.IsControl) {
		return nil
	}
	return fmt.Errorf("%s contains a newline or another control character, expected the path of a file, not its contents", name)
}

// CheckProxies looks at the proxy of all HTTP clients of this process. Of a variable that can be read in two ways they take a part of the password for the host, and one that
// they can't read they ignore: requests go out past the proxy.
func CheckProxies(lookup func(string) (string, bool)) error {
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"} {
		value, _ := lookup(name)
		if value == "" {
			continue
		}
		if !strings.Contains(value, "://") {
			value = "http://" + value // as the clients take it
		}
		if err := credential.CheckProxy(value, "http", "https", "socks5", "socks5h"); err != nil {
			return fmt.Errorf("variable %s: %w", name, err)
		}
	}
	return nil
}

// AddKubeconfig adds --kubeconfig.
func AddKubeconfig(flags *pflag.FlagSet, into *string) {
	flags.StringVar(into, "kubeconfig", "", "kubeconfig file (env KUBECONFIG; default: the Pod's service account, else ~/.kube/config)")
}

// AddDatabaseURL adds --database-url.
func AddDatabaseURL(flags *pflag.FlagSet, into *string) {
	flags.StringVar(into, "database-url", "", "PostgreSQL URL, postgres://user:password@host:5432/database (env HOLDFAST_DATABASE_URL)")
}
