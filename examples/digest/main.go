// Command digest-controller computes Digests. It uses client-go, and no manager.
package main

import (
	"context"
	"flag"
	"log"
	"os/signal"
	"syscall"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"example.com/digest-controller/clientset"
	"example.com/digest-controller/controller"
)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "path of a kubeconfig; empty in a cluster")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()

	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		log.Fatalf("find the cluster: %v", err)
	}
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		log.Fatal(err)
	}
	digests, err := clientset.NewForConfig(config)
	if err != nil {
		log.Fatal(err)
	}
	c, err := controller.New(kube, digests)
	if err != nil {
		log.Fatal(err)
	}
	if err := c.Run(ctx); err != nil {
		log.Fatal(err)
	}
}
