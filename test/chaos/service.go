//go:build unix

package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
	"github.com/holdfast-dev/holdfast/internal/storageapi"
)

const (
	// relayAccount is the managers' at the service, in a namespace of the same name.
	relayAccount = "chaos-relay"
	// tokenSeconds outlast any number of schedules that somebody would wait for.
	tokenSeconds = 7 * 24 * 60 * 60

	serviceGrace = 20 * time.Second
)

// newToken makes an account that may relay, and a token of it.
func newToken(ctx context.Context, c client.Client) (string, error) {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: relayAccount, Name: relayAccount}}
	meta := metav1.ObjectMeta{Name: relayAccount}
	for _, o := range []client.Object{
		&corev1.Namespace{ObjectMeta: meta},
		account,
		&rbacv1.ClusterRole{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{{APIGroups: []string{"holdfast.dev"}, Resources: []string{"auditrecords"}, Verbs: []string{"create", "relay"}}}},
		&rbacv1.ClusterRoleBinding{
			ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: relayAccount},
			Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: relayAccount, Name: relayAccount}},
		},
	} {
		if err := c.Create(ctx, o); err != nil {
			return "", fmt.Errorf("make an account that may relay: %w", err)
		}
	}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{storageapi.DefaultAudience}, ExpirationSeconds: ptr.To[int64](tokenSeconds)}}
	if err := c.SubResource("token").Create(ctx, account, request); err != nil {
		return "", fmt.Errorf("make a token of %s: %w", relayAccount, err)
	}
	return request.Status.Token, nil
}

// startService starts a storage service, to which the proxy leads from now on: connections to the one before are cut.
func (w *world) startService(ctx context.Context) error {
	address, err := localcluster.FreeAddress()
	if err != nil {
		return err
	}
	s, err := localcluster.StartProgram(ctx, localcluster.Program{
		Name:         "storage",
		Path:         w.program,
		Args:         []string{"storage", "--insecure-http", "--bind-address", address},
		Env:          []string{"HOLDFAST_DATABASE_URL=" + w.database, "KUBECONFIG=" + w.cluster.Kubeconfig()},
		Log:          filepath.Join(w.dir, "storage.log"),
		Ready:        localcluster.Answers("http://" + address + "/healthz"), // to take requests; the database may be away
		ReadyTimeout: readyTimeout,
	})
	if err != nil {
		return err
	}
	w.service = s
	w.started = append(w.started, s)
	if w.serviceProxy == nil {
		w.serviceProxy, err = newProxy("service", address)
		return err
	}
	if err := w.serviceProxy.Update(&toxiproxy.Proxy{Listen: w.serviceProxy.Listen, Upstream: address, Enabled: true}); err != nil {
		return fmt.Errorf("lead the proxy to another service: %w", err)
	}
	return nil
}

// serviceFaults are those of the storage service's processes. Managers go on watching.
var serviceFaults = []fault{
	{name: "service killed", inflict: theService.kill, watched: true},
	{name: "service killed again and again", inflict: theService.killAgain, watched: true},
	{name: "service stopped", inflict: theService.stop, watched: true},
	{name: "service restarted", inflict: theService.restart, watched: true},
	{name: "service paused", inflict: theService.pause, watched: true},
	{name: "service paused and replaced", inflict: theService.replace, watched: true},
}

// serviceNetwork are those of the network between managers and the storage service.
var serviceNetwork = []fault{
	toxic("service connection reset", service, "reset_peer", "upstream", `{"timeout": 0}`),
	toxic("service connection cut before the answer", service, cutAtAnswer, "downstream", `{}`),
	toxic("service connection cut in a request", service, "limit_data", "upstream", `{"bytes": 3000}`),
	toxic("service connection cut in an answer", service, "limit_data", "downstream", `{"bytes": 300}`),
	toxic("service latency", service, "latency", "downstream", `{"latency": 60, "jitter": 50}`),
	toxic("service connection half-open", service, "timeout", "downstream", `{"timeout": 0}`),
}

func service(w *world) *toxiproxy.Proxy { return w.serviceProxy }
