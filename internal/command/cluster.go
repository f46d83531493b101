package command

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/holdfast-dev/holdfast/internal/credential"
)

// RESTConfig reads a kubeconfig; without one it is that of the Pod, or of the user's ~/.kube/config. Its errors quote nothing that is in the file but names.
func RESTConfig(kubeconfig string) (*rest.Config, error) {
	const advice = "set --kubeconfig or KUBECONFIG"
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	switch files := filepath.SplitList(strings.TrimSpace(kubeconfig)); {
	case len(files) == 1:
		rules.ExplicitPath = files[0] // which must exist, unlike one of several
	case len(files) > 1:
		rules.Precedence = files
	}
	loaded, err := rules.Load()
	if err != nil {
		return nil, fmt.Errorf("load kubeconfig: %w; %s", unquoted(err), advice)
	}
	rules.WarnIfAllMissing = false // said by now
	if err := checkCluster(loaded); err != nil {
		return nil, fmt.Errorf("load kubeconfig: %w", err)
	}
	c, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{}).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("load kubeconfig: %w; %s", err, advice)
	}
	c.QPS = -1 // the API server's own fairness is the limit
	return c, nil
}

// checkCluster looks at the addresses of the current context, which the API server's client quotes where it can't read them.
func checkCluster(c *clientcmdapi.Config) error {
	current, ok := c.Contexts[c.CurrentContext]
	if !ok {
		return nil
	}
	cluster, ok := c.Clusters[current.Cluster]
	if !ok {
		return nil
	}
	const in = "cluster %q in the kubeconfig: %s: %w"
	server := cluster.Server
	if server != "" && !strings.Contains(server, "://") {
		server = "https://" + server // as the client takes it
	}
	if server != "" {
		if _, err := credential.ServiceURL(server); err != nil {
			return fmt.Errorf(in, current.Cluster, "server", err)
		}
	}
	if cluster.ProxyURL != "" {
		if err := credential.CheckProxy(cluster.ProxyURL, "http", "https", "socks5"); err != nil {
			return fmt.Errorf(in, current.Cluster, "proxy-url", err)
		}
	}
	return nil
}

var inQuotes = regexp.MustCompile(`'[^']*'`)

// unquoted is an error of reading the file without what YAML's parser quotes of it.
func unquoted(err error) error {
	if text := err.Error(); inQuotes.MatchString(text) {
		return errors.New(inQuotes.ReplaceAllString(text, "…"))
	}
	return err
}
