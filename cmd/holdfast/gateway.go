package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/command"
	"github.com/holdfast-dev/holdfast/internal/gateway"
)

// gatewayFlags are the settings of `holdfast gateway`.
type gatewayFlags struct {
	endpointFlags
	tokenFile          string
	exportersNeedLabel bool
	limits             gateway.Limits
}

func newGatewayCommand() *cobra.Command {
	f := &gatewayFlags{limits: gateway.DefaultLimits()}
	cmd := &cobra.Command{
		Use:   "gateway",
		Short: "Run the gateway, which turns alerts of Alertmanager into RemediationRequests",
		Long: `Run the gateway. Alertmanager posts alerts to /api/v1/alertmanager (webhook version 4). Each alert
whose labels name a workload becomes a RemediationRequest, in namespaces with the label
holdfast.dev/gateway=enabled. One workload has at most one open request, however many alerts,
Alertmanagers and gateways there are.

The same address serves /docs, /openapi.json, /healthz, /readyz and /metrics. The service uses
HTTPS. Three settings work on a loopback address only: no certificate (the service then creates a
self-signed one), --insecure-http, and --insecure-no-auth.

Without the API server it answers 503, and Alertmanager sends the alerts again. SIGTERM stops it
within 20 seconds, after it finishes the messages in flight.`,
		Example: `  # In a cluster, behind a Service
  holdfast gateway --bind-address :8443 --tls-cert-file /tls/tls.crt --tls-key-file /tls/tls.key --token-file /token/token

  # Beside a local cluster of 'holdfast dev --infra-only'
  export $(cat .dev/env)
  openssl rand -hex 32 > token
  holdfast gateway --insecure-http --bind-address 127.0.0.1:8082 --token-file token
  kubectl label namespace shop holdfast.dev/gateway=enabled`,
		Args: command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := aboveZero(cmd.Flags(), gatewayLimits...); err != nil {
				return err
			}
			return f.run(cmd.Context(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	f.add(flags)
	flags.StringVar(&f.tokenFile, "token-file", "", "file with the tokens of senders, one a line, read for each message")
	flags.BoolVar(&f.exportersNeedLabel, "exporters-need-label", false, "take exported_namespace only from exporters in namespaces with the label "+gateway.ExporterLabel+"=true; for clusters in which Prometheus enforces the label namespace")
	l := &f.limits
	flags.Int64Var(&l.BodyBytes, "max-body-bytes", l.BodyBytes, "max bytes per message, decompressed")
	flags.Int64Var(&l.BytesInFlight, "max-bytes-in-flight", l.BytesInFlight, "max bytes of all messages in memory; beyond it the answer is 503")
	flags.IntVar(&l.Requests, "max-requests-in-flight", l.Requests, "max concurrent messages; beyond it the answer is 503")
	flags.IntVar(&l.Alerts, "max-concurrent-alerts", l.Alerts, "max alerts worked on at once, of all messages")
	flags.IntVar(&l.OpenRequests, "max-open-requests", l.OpenRequests, "max open RemediationRequests per namespace; beyond it alerts make none")
	flags.DurationVar(&l.ReadTimeout, "read-timeout", l.ReadTimeout, "timeout for reading a message")
	flags.DurationVar(&l.Timeout, "alerts-timeout", l.Timeout, "timeout for all alerts of a message; then the answer is 503")
	return cmd
}

// gatewayLimits are the flags that have to be more than zero.
var gatewayLimits = []string{"max-body-bytes", "max-bytes-in-flight", "max-requests-in-flight", "max-concurrent-alerts", "max-open-requests", "read-timeout", "alerts-timeout"}

func (f *gatewayFlags) run(ctx context.Context, logTo io.Writer) error {
	if err := setLogger(f.logLevel, f.logFormat, logTo); err != nil {
		return err
	}
	if err := f.validate(); err != nil {
		return err
	}
	c := gateway.Config{Limits: f.limits, ExportersNeedLabel: f.exportersNeedLabel, Log: ctrl.Log.WithName("gateway")}
	if !f.noAuth {
		if f.tokenFile == "" {
			return errors.New("no token is set: give --token-file (HOLDFAST_TOKEN_FILE), a file with what senders authenticate with, as of: openssl rand -hex 32")
		}
		var err error
		if c.Tokens, err = gateway.NewTokens(f.tokenFile); err != nil {
			return err
		}
	}
	cluster, err := command.RESTConfig(f.kubeconfig)
	if err != nil {
		return err
	}
	if c.Client, c.Events, err = gatewayClients(cluster); err != nil {
		return err
	}
	if err := f.authenticate(&c.Endpoint, func(*rest.Config) error { return nil }); err != nil {
		return err
	}
	watch, err := f.endpoint(&c.Endpoint)
	if err != nil {
		return err
	}
	server, err := gateway.New(c)
	if err != nil {
		return err
	}
	return f.serve(ctx, server, watch, func(context.Context) error { return nil }, "")
}

// gatewayClients are clients without a cache and without a rate of their own: the gateway bounds how many alerts it works on, and the API server who gets how much.
func gatewayClients(cluster *rest.Config) (client.WithWatch, kubernetes.Interface, error) {
	cluster = rest.CopyConfig(cluster)
	cluster.QPS = -1
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, nil, err
	}
	direct, err := client.NewWithWatch(cluster, client.Options{Scheme: scheme})
	if err != nil {
		return nil, nil, fmt.Errorf("make a client of the API server: %w", err)
	}
	events, err := kubernetes.NewForConfig(cluster)
	if err != nil {
		return nil, nil, fmt.Errorf("make a client for Events: %w", err)
	}
	return direct, events, nil
}
