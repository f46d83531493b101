//go:build unix

package cluster

import (
	"fmt"
	"net"
	"os"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// serviceRange is where Services get their cluster addresses; nothing routes them. Its first address is the API server's.
const serviceRange = "10.255.0.0/24"

var apiServerServiceIP = net.IPv4(10, 255, 0, 1)

// users are those who talk to the API server, each with a name of its own in audit logs and managed fields. All are
// cluster-admin: the controllers would else need service accounts, which only a running controller manager makes.
var users = []string{admin, "kube-controller-manager", "kube-scheduler", "kwok"}

const admin = "admin"

// writeCredentials makes all keys and certificates of a cluster in the folder certs.
func writeCredentials(certs string) (ca keyPair, clients map[string]keyPair, err error) {
	if err := os.MkdirAll(certs, 0o700); err != nil {
		return keyPair{}, nil, fmt.Errorf("create the certificate directory: %w", err)
	}
	a, err := newAuthority()
	if err != nil {
		return keyPair{}, nil, err
	}
	if err := a.write(certs + "/ca"); err != nil {
		return keyPair{}, nil, err
	}
	server, err := a.server([]string{"kubernetes", "kubernetes.default", "kubernetes.default.svc"}, apiServerServiceIP)
	if err != nil {
		return keyPair{}, nil, err
	}
	if err := server.write(certs + "/server"); err != nil {
		return keyPair{}, nil, err
	}
	key, err := serviceAccountKey()
	if err != nil {
		return keyPair{}, nil, err
	}
	if err := os.WriteFile(certs+"/service-accounts.key", key, 0o600); err != nil {
		return keyPair{}, nil, fmt.Errorf("write the service accounts' key: %w", err)
	}
	clients = map[string]keyPair{}
	for _, user := range users {
		name := user
		if user != admin {
			name = "system:" + user
		}
		if clients[user], err = a.client(name, "system:masters"); err != nil {
			return keyPair{}, nil, err
		}
	}
	return a.keyPair, clients, nil
}

// restConfig authenticates the user; its client has no rate limit.
func (c *Cluster) restConfig(user string) *rest.Config {
	return &rest.Config{
		Host:  "https://" + loopback(c.ports.apiServer),
		QPS:   -1,
		Burst: -1,
		TLSClientConfig: rest.TLSClientConfig{
			CAData: c.ca.certificate, CertData: c.clients[user].certificate, KeyData: c.clients[user].key,
		},
	}
}

// writeKubeconfig writes a file with the user's credentials inside.
func (c *Cluster) writeKubeconfig(path, user string) error {
	config := clientcmdapi.NewConfig()
	config.Clusters["holdfast"] = &clientcmdapi.Cluster{
		Server: "https://" + loopback(c.ports.apiServer), CertificateAuthorityData: c.ca.certificate,
	}
	config.AuthInfos[user] = &clientcmdapi.AuthInfo{
		ClientCertificateData: c.clients[user].certificate, ClientKeyData: c.clients[user].key,
	}
	config.Contexts["holdfast"] = &clientcmdapi.Context{Cluster: "holdfast", AuthInfo: user}
	config.CurrentContext = "holdfast"
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		return fmt.Errorf("write the kubeconfig of %s: %w", user, err)
	}
	return nil
}
