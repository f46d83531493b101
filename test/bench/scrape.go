package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func keyOf(o client.Object) client.ObjectKey { return client.ObjectKeyFromObject(o) }

// serverWrites are the writes to an API group that the API server has answered, by its own metrics.
func (b *bench) serverWrites(ctx context.Context, group string) (writes, error) {
	servers, err := kubernetes.NewForConfig(b.env.Config)
	if err != nil {
		return nil, err
	}
	return writesTo(ctx, servers, group)
}

// serverObjects is how many objects the API server has allocated: what writes cost it, in a figure that hardly depends on what else the machine does.
func (b *bench) serverObjects(ctx context.Context) (float64, error) {
	servers, err := kubernetes.NewForConfig(b.env.Config)
	if err != nil {
		return 0, err
	}
	text, err := metricsOf(ctx, servers)
	return sum(text, "go_memstats_mallocs_total"), err
}

func metricsOf(ctx context.Context, servers kubernetes.Interface) ([]byte, error) {
	text, err := servers.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the API server's metrics: %w", err)
	}
	return text, nil
}

// writes by verb.
type writes map[string]float64

var verbs = []string{"POST", "PUT", "PATCH", "APPLY", "DELETE"}

func writesTo(ctx context.Context, servers kubernetes.Interface, group string) (writes, error) {
	text, err := metricsOf(ctx, servers)
	w := writes{}
	for _, verb := range verbs {
		w[verb] = sum(text, "apiserver_request_total", `group="`+group+`"`, `verb="`+verb+`"`)
	}
	return w, err
}

// since are the writes after others.
func (w writes) since(before writes) writes {
	after := writes{}
	for verb, n := range w {
		after[verb] = n - before[verb]
	}
	return after
}

func (w writes) total() (n float64) {
	for _, of := range w {
		n += of
	}
	return n
}

// metric reads one of a program's metrics, summed over the series that have all labels.
func metric(ctx context.Context, url, name string, labels ...string) (float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return sum(text, name, labels...), err
}

// sum adds up the series of a name in Prometheus' text format, as far as their labels have all of these.
func sum(text []byte, name string, labels ...string) float64 {
	total := 0.0
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
series:
	for lines.Scan() {
		rest, ok := strings.CutPrefix(lines.Text(), name)
		if !ok || rest == "" || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		for _, l := range labels {
			if !strings.Contains(rest, l) {
				continue series
			}
		}
		v, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
		if err == nil {
			total += v
		}
	}
	return total
}
