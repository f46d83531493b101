//go:build unix

package dev

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
	"github.com/holdfast-dev/holdfast/internal/storageapi"
)

// poster is the ServiceAccount whose token HOLDFAST_STORAGE_TOKEN is, and the name of its role.
const (
	poster           = "holdfast-dev-poster"
	callersNamespace = "default"
	// tokenLife is longer than anybody keeps a dev running: the cluster that knows the token ends with it.
	tokenLife = 365 * 24 * time.Hour
)

// StartStorage starts the Data Storage API and returns when it is ready. It is plain HTTP, so that a client needs no more than the URL and the token.
func (s *Stack) StartStorage(ctx context.Context) error {
	if s.StorageToken == "" {
		token, err := s.makePoster(ctx)
		if err != nil {
			return fmt.Errorf("create a caller of the storage service: %w", err)
		}
		s.StorageToken = token
	}
	address, err := localcluster.FreeAddress()
	if err != nil {
		return err
	}
	begin := time.Now()
	s.storage, err = localcluster.StartProgram(ctx, localcluster.Program{
		Name: "storage",
		Path: s.options.Program,
		Args: []string{"storage", "--insecure-http", "--bind-address", address},
		Env:  append(s.Env(), "PATH="+os.Getenv("PATH"), "TMPDIR="+os.TempDir()),
		Log:  filepath.Join(s.Dir, "logs", "storage.log"),
		Ready: func(ctx context.Context) error {
			if err := localcluster.Answers("http://" + address + "/readyz")(ctx); err != nil {
				return err
			}
			return s.mayPost(ctx, "http://"+address)
		},
	})
	if err != nil {
		return err
	}
	s.StorageURL = "http://" + address
	fmt.Fprintf(s.options.Progress, "storage: ready after %s, documentation at %s/docs\n", time.Since(begin).Round(100*time.Millisecond), s.StorageURL)
	return nil
}

// mayPost waits until the API server's authorizer knows of the role, with a record that is none: whoever may post is told so.
func (s *Stack) mayPost(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/api/v1/audit/notifications", strings.NewReader("{}"))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+s.StorageToken)
	req.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusUnprocessableEntity {
		return fmt.Errorf("posting a record as %s was answered %s", poster, answer.Status)
	}
	return nil
}

// makePoster makes somebody who may post records, and relay entries, so that a manager can drain into the service as well. It returns their token.
func (s *Stack) makePoster(ctx context.Context) (string, error) {
	return s.makeCaller(ctx, poster, "holdfast-relay", storageapi.DefaultAudience)
}

// makeCaller makes a ServiceAccount with a ClusterRole, and returns a token of it for an audience; "" is the API server.
func (s *Stack) makeCaller(ctx context.Context, name, role, audience string) (string, error) {
	client, err := kubernetes.NewForConfig(s.Cluster.RESTConfig())
	if err != nil {
		return "", err
	}
	meta := metav1.ObjectMeta{Name: name}
	if _, err := client.CoreV1().ServiceAccounts(callersNamespace).Create(ctx, &corev1.ServiceAccount{ObjectMeta: meta}, metav1.CreateOptions{}); err != nil {
		return "", err
	}
	if err := s.bind(ctx, name, role, name); err != nil {
		return "", err
	}
	seconds, audiences := int64(tokenLife.Seconds()), []string{audience}
	if audience == "" {
		audiences = nil
	}
	answer, err := client.CoreV1().ServiceAccounts(callersNamespace).CreateToken(ctx, name, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{Audiences: audiences, ExpirationSeconds: &seconds},
	}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	return answer.Status.Token, nil
}

// bind gives a caller a ClusterRole.
func (s *Stack) bind(ctx context.Context, name, role, caller string) error {
	client, err := kubernetes.NewForConfig(s.Cluster.RESTConfig())
	if err != nil {
		return err
	}
	_, err = client.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: caller, Namespace: callersNamespace}},
	}, metav1.CreateOptions{})
	return err
}
