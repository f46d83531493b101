#!/bin/sh
# What kube-state-metrics would say of the Deployments of the namespace shop, written to metrics.txt every second.
while sleep 1; do
  kubectl -n shop get deployments -o go-template='{{range .items}}kube_deployment_status_replicas_unavailable{namespace="shop",deployment="{{.metadata.name}}"} {{or .status.unavailableReplicas 0}}{{"\n"}}{{end}}' >metrics.new &&
    mv metrics.new metrics.txt
done
