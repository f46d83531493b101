//go:build unix

package cluster

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// nodeName is the simulated node. It has the size of a small machine, so that a pod which asks for too much stays pending.
const nodeName = "node-1"

var nodeSize = corev1.ResourceList{
	corev1.ResourceCPU:              resource.MustParse("8"),
	corev1.ResourceMemory:           resource.MustParse("32Gi"),
	corev1.ResourceEphemeralStorage: resource.MustParse("100Gi"),
	corev1.ResourcePods:             resource.MustParse("250"),
}

// Where the simulated node and its pods pretend to be; nothing listens there.
const (
	nodeAddress = "10.253.0.1"
	podRange    = "10.254.0.0/16"
)

// withoutWork: the controllers of volumes, node addresses and certificates have nothing to do here.
const withoutWork = "*,-node-ipam-controller,-bootstrap-signer-controller,-token-cleaner-controller," +
	"-persistentvolume-binder-controller,-persistentvolume-attach-detach-controller,-persistentvolume-expander-controller," +
	"-certificatesigningrequest-signing-controller,-certificatesigningrequest-approving-controller,-certificatesigningrequest-cleaner-controller"

// startOthers starts what the profile Full has beyond etcd and kube-apiserver, all at once, and waits until a pod would run.
func (c *Cluster) startOthers(ctx context.Context) error {
	if err := c.createNode(ctx); err != nil {
		return err
	}
	stages := c.dir.in("run", "stages.yaml")
	if err := writeStages(stages); err != nil {
		return err
	}
	for _, s := range []struct {
		name string
		port int
		args []string
	}{
		{"kube-controller-manager", c.ports.controllerManager, append(c.controllerArgs("kube-controller-manager", c.ports.controllerManager),
			"--service-account-private-key-file="+c.dir.in("certs", "service-accounts.key"),
			"--root-ca-file="+c.dir.in("certs", "ca.crt"), "--controllers="+withoutWork,
			"--concurrent-gc-syncs=20", "--concurrent-namespace-syncs=10")},
		{"kube-scheduler", c.ports.scheduler, c.controllerArgs("kube-scheduler", c.ports.scheduler)},
		{"kwok", c.ports.kwok, []string{
			"--kubeconfig=" + c.dir.in("run", "kwok.kubeconfig"), "--config=" + stages, "--manage-single-node=" + nodeName,
			"--node-ip=" + nodeAddress, "--cidr=" + podRange, "--node-lease-duration-seconds=40",
			"--server-address=" + loopback(c.ports.kwok)}},
	} {
		p, err := c.server(s.name, s.args...)
		if err != nil {
			return err
		}
		c.others = append(c.others, p)
	}
	manager, scheduler, kwok := c.others[0], c.others[1], c.others[2]
	if err := manager.waitReady(ctx, readyTimeout, func(ctx context.Context) error {
		return c.healthyTLS(ctx, c.ports.controllerManager)
	}); err != nil {
		return err
	}
	if err := scheduler.waitReady(ctx, readyTimeout, func(ctx context.Context) error {
		return c.healthyTLS(ctx, c.ports.scheduler)
	}); err != nil {
		return err
	}
	if err := kwok.waitReady(ctx, readyTimeout, c.nodeReady); err != nil {
		return err
	}
	return manager.waitReady(ctx, readyTimeout, func(ctx context.Context) error {
		_, err := c.client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
		return err
	})
}

// controllerArgs are the flags that kube-controller-manager and kube-scheduler share.
func (c *Cluster) controllerArgs(user string, port int) []string {
	kubeconfig, certs := c.dir.in("run", user+".kubeconfig"), c.dir.in("certs")
	return []string{
		"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", port),
		"--tls-cert-file=" + certs + "/server.crt", "--tls-private-key-file=" + certs + "/server.key",
		"--leader-elect=false", "--kube-api-qps=500", "--kube-api-burst=1000", "--profiling=false",
	}
}

func (c *Cluster) createNode(ctx context.Context) error {
	_, err := c.client.CoreV1().Nodes().Create(ctx, &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name: nodeName,
			Labels: map[string]string{
				corev1.LabelHostname: nodeName, corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64",
			},
		},
		Status: corev1.NodeStatus{Capacity: nodeSize, Allocatable: nodeSize},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("make the simulated node: %w", err)
	}
	return nil
}

// nodeReady: the node says so, and the controllers have taken the taints away that keep pods off a node that is not.
func (c *Cluster) nodeReady(ctx context.Context) error {
	node, err := c.client.CoreV1().Nodes().Get(ctx, nodeName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if len(node.Spec.Taints) > 0 {
		return fmt.Errorf("node %s has the taints %v", nodeName, node.Spec.Taints)
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue {
			return nil
		}
	}
	return fmt.Errorf("node %s is not ready: its conditions are %v", nodeName, node.Status.Conditions)
}
