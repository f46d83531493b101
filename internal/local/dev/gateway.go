//go:build unix

package dev

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
)

const (
	// GatewayAccount is the ServiceAccount that the gateway acts as, in GatewayNamespace. It has the rights of config/gateway and no more.
	GatewayAccount   = "holdfast-dev-gateway"
	GatewayNamespace = callersNamespace
)

// StartGateway starts the gateway of Alertmanager and returns when it is ready. It is plain HTTP; senders need the token of a file.
func (s *Stack) StartGateway(ctx context.Context) error {
	token, err := s.makeCaller(ctx, GatewayAccount, "holdfast-gateway", "")
	if err != nil {
		return fmt.Errorf("make the account of the gateway: %w", err)
	}
	kubeconfig := filepath.Join(s.Dir, "gateway.kubeconfig")
	if err := s.writeKubeconfig(kubeconfig, token); err != nil {
		return err
	}
	random := make([]byte, 32)
	rand.Read(random) // never fails: crypto/rand ends the process instead
	s.GatewayToken, s.GatewayTokenFile = hex.EncodeToString(random), filepath.Join(s.Dir, "gateway-token")
	if err := os.WriteFile(s.GatewayTokenFile, []byte(s.GatewayToken+"\n"), 0o600); err != nil {
		return fmt.Errorf("write the token of the gateway: %w", err)
	}
	address, err := localcluster.FreeAddress()
	if err != nil {
		return err
	}
	begin := time.Now()
	s.gateway, err = localcluster.StartProgram(ctx, localcluster.Program{
		Name:  "gateway",
		Path:  s.options.Program,
		Args:  []string{"gateway", "--insecure-http", "--bind-address", address, "--token-file", s.GatewayTokenFile},
		Env:   []string{"KUBECONFIG=" + kubeconfig, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir()},
		Log:   filepath.Join(s.Dir, "logs", "gateway.log"),
		Ready: localcluster.Answers("http://" + address + "/readyz"), // it has listed the requests, so the API server knows of its role
	})
	if err != nil {
		return err
	}
	s.GatewayURL = "http://" + address
	fmt.Fprintf(s.options.Progress, "gateway: ready after %s, documentation at %s/docs\n", time.Since(begin).Round(100*time.Millisecond), s.GatewayURL)
	return nil
}

// writeKubeconfig writes a file with which the holder of a token reaches the cluster.
func (s *Stack) writeKubeconfig(path, token string) error {
	cluster := s.Cluster.RESTConfig()
	c := clientcmdapi.NewConfig()
	c.Clusters["holdfast"] = &clientcmdapi.Cluster{Server: cluster.Host, CertificateAuthorityData: cluster.CAData}
	c.AuthInfos[GatewayAccount] = &clientcmdapi.AuthInfo{Token: token}
	c.Contexts["holdfast"] = &clientcmdapi.Context{Cluster: "holdfast", AuthInfo: GatewayAccount}
	c.CurrentContext = "holdfast"
	if err := clientcmd.WriteToFile(*c, path); err != nil {
		return fmt.Errorf("write the kubeconfig of the gateway: %w", err)
	}
	return nil
}
