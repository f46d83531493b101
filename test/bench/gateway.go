package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// alertSenders post at once.
const alertSenders = 16

// gatewayAlerts sends messages of one alert each to `holdfast gateway`, each of a workload of its own, and the same to a bare handler that creates the same requests without
// a look at anything. Then it repeats them, and sends them all in one message.
func gatewayAlerts(ctx context.Context, b *bench) error {
	service, url, err := b.startGateway(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = service.end() }()
	bare, stop, err := b.bareHandler()
	if err != nil {
		return err
	}
	defer stop()
	c := &alertSender{http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2 * alertSenders}}}
	defer c.http.CloseIdleConnections()
	n := b.size(400)
	var made, plain, repeated, grouped, tookMade, tookPlain, tookRepeated sample
	for round := range b.rounds(5) + 1 {
		namespace := fmt.Sprintf("alerts-%d", round)
		if err := b.workloads(ctx, namespace, n); err != nil {
			return err
		}
		rate, took, err := c.all(ctx, url, namespace, n)
		if err != nil {
			return err
		}
		again, tookAgain, err := c.all(ctx, url, namespace, n)
		if err != nil {
			return err
		}
		begin := time.Now()
		if err := c.post(ctx, url, namespace, 0, n); err != nil {
			return err
		}
		together := float64(n) / time.Since(begin).Seconds()
		direct, tookDirect, err := c.all(ctx, bare, namespace, n)
		if err != nil {
			return err
		}
		if round == 0 {
			continue // warms up
		}
		made, plain, repeated, grouped = append(made, rate), append(plain, direct), append(repeated, again), append(grouped, together)
		tookMade, tookPlain, tookRepeated = append(tookMade, took...), append(tookPlain, tookDirect...), append(tookRepeated, tookAgain...)
	}
	b.report.add("gateway", "alerts, new, one a message, 16 senders", "alerts/s", "", made...)
	b.report.add("gateway", "bare handler that creates the same", "alerts/s", "", plain...)
	b.report.add("gateway", "gateway ÷ bare handler", "", "", made.over(plain)...)
	b.report.add("gateway", "alerts, repeated, one a message", "alerts/s", "", repeated...)
	b.report.add("gateway", fmt.Sprintf("alerts, repeated, %d in one message", n), "alerts/s", "", grouped...)
	for _, row := range []struct {
		what string
		took sample
	}{{"new", tookMade}, {"bare handler", tookPlain}, {"repeated", tookRepeated}} {
		b.report.add("gateway", "answer, "+row.what+": p50", "ms", "", row.took.percentile(50))
		b.report.add("gateway", "answer, "+row.what+": p99", "ms", "", row.took.percentile(99))
	}
	b.report.add("gateway", "memory at its highest", "MiB", "", service.memory("VmHWM"))
	return nil
}

func (b *bench) startGateway(ctx context.Context) (p *process, url string, _ error) {
	address, err := localcluster.FreeAddress()
	if err != nil {
		return nil, "", err
	}
	url = "http://" + address
	p, err = b.start(ctx, []string{"KUBECONFIG=" + b.env.Cluster.Kubeconfig()}, url+"/readyz", url+"/metrics", "gateway", "--insecure-no-auth", "--insecure-http",
		"--bind-address", address, "--max-open-requests", "1000000", "--log-level", "error")
	return p, url + "/api/v1/alertmanager", err
}

// workloads makes a namespace that takes part, with Deployments.
func (b *bench) workloads(ctx context.Context, namespace string, n int) error {
	if err := b.env.Client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace, Labels: map[string]string{"holdfast.dev/gateway": "enabled"}}}); err != nil {
		return err
	}
	labels := map[string]string{"app": "x"}
	together, ctx := errgroup.WithContext(ctx)
	together.SetLimit(alertSenders)
	for i := range n {
		together.Go(func() error {
			return b.env.Client.Create(ctx, &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: workloadName(i)}, Spec: appsv1.DeploymentSpec{
				Selector: &metav1.LabelSelector{MatchLabels: labels},
				Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "x"}}}},
			}})
		})
	}
	return together.Wait()
}

func workloadName(i int) string { return fmt.Sprintf("app-%d", i) }

// bareHandler creates a request for each alert, as the control.
func (b *bench) bareHandler() (url string, stop func(), _ error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m struct {
			Alerts []struct {
				Labels      map[string]string `json:"labels"`
				Annotations map[string]string `json:"annotations"`
			} `json:"alerts"`
		}
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		for _, a := range m.Alerts {
			if err := b.env.Client.Create(r.Context(), bareRequest(a.Labels, a.Annotations)); err != nil {
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
				return
			}
		}
	})}
	go func() { _ = server.Serve(l) }()
	return "http://" + l.Addr().String(), func() { _ = server.Close() }, nil
}

func bareRequest(labels, annotations map[string]string) client.Object {
	rr := &v1alpha1.RemediationRequest{ObjectMeta: metav1.ObjectMeta{Namespace: labels["namespace"], GenerateName: labels["deployment"] + "-"}}
	rr.Spec.Target = v1alpha1.Target{APIVersion: "apps/v1", Kind: "Deployment", Name: labels["deployment"]}
	rr.Spec.Signal = v1alpha1.Signal{
		Fingerprint: fmt.Sprintf("%064x", time.Now().UnixNano()), Name: labels["alertname"], Severity: labels["severity"], Source: "alertmanager", ReceivedTime: outboxapi.NewTime(time.Now()),
		Labels: map[string]v1alpha1.LabelValue{}, Annotations: map[string]v1alpha1.AnnotationValue{},
	}
	for k, v := range labels {
		rr.Spec.Signal.Labels[k] = v1alpha1.LabelValue(v)
	}
	for k, v := range annotations {
		rr.Spec.Signal.Annotations[k] = v1alpha1.AnnotationValue(v)
	}
	rr.Spec.Approval.Mode, rr.Spec.Notification.Channels = v1alpha1.ApprovalManual, []v1alpha1.Channel{}
	return rr
}

// alertSender posts as Alertmanager does.
type alertSender struct{ http *http.Client }

// all posts the alerts of all workloads, one a message.
func (c *alertSender) all(ctx context.Context, url, namespace string, n int) (perSecond float64, took sample, _ error) {
	begin, next := time.Now(), atomic.Int64{}
	times := make([]sample, alertSenders)
	together, ctx := errgroup.WithContext(ctx)
	for i := range alertSenders {
		together.Go(func() error {
			for {
				at := int(next.Add(1)) - 1
				if at >= n {
					return nil
				}
				sent := time.Now()
				if err := c.post(ctx, url, namespace, at, 1); err != nil {
					return err
				}
				times[i] = append(times[i], milliseconds(time.Since(sent)))
			}
		})
	}
	if err := together.Wait(); err != nil {
		return 0, nil, err
	}
	for _, t := range times {
		took = append(took, t...)
	}
	return float64(n) / time.Since(begin).Seconds(), took, nil
}

func (c *alertSender) post(ctx context.Context, url, namespace string, from, n int) error {
	alerts := make([]map[string]any, n)
	for i := range alerts {
		alerts[i] = map[string]any{
			"status": "firing", "startsAt": time.Now(), "fingerprint": "3f0c1b2a4d5e6f70", "annotations": map[string]string{"summary": "it crashes", "runbook_url": "https://runbooks.example.com/crash"},
			"labels": map[string]string{"alertname": "KubePodCrashLooping", "severity": "warning", "namespace": namespace, "deployment": workloadName(from + i), "job": "kube-state-metrics", "instance": "10.0.0.1:8080"},
		}
	}
	text, err := json.Marshal(map[string]any{"version": "4", "status": "firing", "receiver": "holdfast", "alerts": alerts})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(text))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	reply, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("an alert was answered %s: %.300s", answer.Status, reply)
	}
	return err
}
