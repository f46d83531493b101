package plugin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/holdfast-dev/holdfast/internal/portforward"
)

// cluster is where a command reads, and where it writes what it prints. Nothing is connected before a verb asks for it.
type cluster struct {
	config  *genericclioptions.ConfigFlags
	streams genericiooptions.IOStreams
	program string
	version string
	// system is the namespace of Holdfast itself.
	system string

	rest      *rest.Config
	clientset *kubernetes.Clientset
}

// connect makes the clients. It makes no call.
func (c *cluster) connect() error {
	if c.clientset != nil {
		return nil
	}
	raw, err := c.config.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return fmt.Errorf("load the kubeconfig: %w", err)
	}
	// Without any cluster cli-runtime takes localhost:8080, which is nobody's.
	if inPod := os.Getenv("KUBERNETES_SERVICE_HOST") != ""; len(raw.Clusters) == 0 && *c.config.APIServer == "" && !inPod {
		return fmt.Errorf("no cluster: the kubeconfig is missing or empty (KUBECONFIG is %q); set KUBECONFIG or --kubeconfig, or make one with `kubectl config`", os.Getenv("KUBECONFIG"))
	}
	config, err := c.config.ToRESTConfig()
	if err != nil {
		return err
	}
	config.QPS = -1 // the API server's own fairness is the limit
	config.UserAgent = "kubectl-holdfast/" + c.version
	clientset, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("create a cluster client: %w", err)
	}
	c.rest, c.clientset = config, clientset
	return nil
}

// namespace is the one of -n, or of the current context.
func (c *cluster) namespace() (string, error) {
	namespace, _, err := c.config.ToRawKubeConfigLoader().Namespace()
	return namespace, err
}

// scope is what a verb about many resources looks at.
type scope struct {
	all      bool
	selector string
}

func (s *scope) addFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&s.all, "all-namespaces", "A", false, "resources of all namespaces")
	cmd.Flags().StringVarP(&s.selector, "selector", "l", "", "label selector, as in kubectl get")
}

// namespaceOf is the namespace that the scope names, "" for all.
func (c *cluster) namespaceOf(s scope) (string, error) {
	if s.all {
		return metav1.NamespaceAll, nil
	}
	return c.namespace()
}

// kubectl is the start of a kubectl command about this cluster, with the flags that this command was given.
func (c *cluster) kubectl() string { return "kubectl" + c.flags() }

// verb is a command of this program.
func (c *cluster) verb(words string) string {
	system := ""
	if c.system != defaultSystem {
		system = " --system-namespace=" + quoted(c.system)
	}
	return "kubectl holdfast " + words + c.flags() + system
}

// defaultSystem is where the manifests install Holdfast.
const defaultSystem = "holdfast-system"

func (c *cluster) flags() string { return c.flagsBut("") }

// flagsBut are the flags about the cluster that this command was given, without one.
func (c *cluster) flagsBut(left string) string {
	var flags strings.Builder
	for _, f := range []struct {
		name  string
		value *string
	}{{"kubeconfig", c.config.KubeConfig}, {"context", c.config.Context}, {"cluster", c.config.ClusterName}, {"user", c.config.AuthInfoName}, {"as", c.config.Impersonate}} {
		if f.name != left && f.value != nil && *f.value != "" {
			flags.WriteString(" --" + f.name + "=" + quoted(*f.value))
		}
	}
	return flags.String()
}

// quoted is a word for a shell.
func quoted(word string) string {
	plain := word != "" && strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=:,@") == ""
	if plain {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// explained adds to an error of the cluster what helps.
func explained(err error) error {
	var network *net.OpError
	switch {
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("%w; the cluster does not accept your credentials: log in again", err)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%w; docs/kubectl.md lists the rights of each verb", err)
	case errors.As(err, &network) && network.Op != portforward.Op:
		return fmt.Errorf("%w; check the cluster's address (kubectl cluster-info) or choose another with --context", err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w; the cluster did not answer in time", err)
	}
	return err
}

// age is how long ago something was, as kubectl writes it.
func age(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return short(now.Sub(t))
}
