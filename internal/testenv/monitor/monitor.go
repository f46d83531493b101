//go:build unix

package monitor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
)

// ErrNotInstalled is the error of Start where there is no Prometheus.
var ErrNotInstalled = errors.New("prometheus is not installed (Debian: apt-get install prometheus)")

// Options say what is watched.
type Options struct {
	// Dir gets settings, data and the log.
	Dir string
	// Targets are the addresses that are scraped, as host:port, and Token what they are scraped with; "" for none.
	Targets []string
	Token   string
	// Hurry makes a minute of the rules a second, see hurried.
	Hurry bool
}

// Prometheus is one that runs.
type Prometheus struct {
	url     string
	program *localcluster.Running
}

// Start starts it, and returns when it is ready. The caller stops it.
func Start(ctx context.Context, o Options) (*Prometheus, error) {
	path, err := exec.LookPath("prometheus")
	if err != nil {
		return nil, ErrNotInstalled
	}
	if err := o.write(ctx); err != nil {
		return nil, fmt.Errorf("start Prometheus: %w", err)
	}
	address, err := localcluster.FreeAddress()
	if err != nil {
		return nil, fmt.Errorf("start Prometheus: %w", err)
	}
	p := &Prometheus{url: "http://" + address}
	p.program, err = localcluster.StartProgram(ctx, localcluster.Program{
		Name: "prometheus", Path: path, Log: filepath.Join(o.Dir, "prometheus.log"), Ready: localcluster.Answers(p.url + "/-/ready"),
		Args: []string{"--config.file=" + filepath.Join(o.Dir, settingsFile), "--storage.tsdb.path=" + filepath.Join(o.Dir, "prometheus"), "--web.listen-address=" + address},
	})
	if err != nil {
		return nil, fmt.Errorf("start Prometheus: %w", err)
	}
	return p, nil
}

const (
	settingsFile = "prometheus.yaml"
	rulesFile    = "prometheus-rules.yaml"
)

// write reads the rules where the sources of this module are, and writes what Prometheus is started with.
func (o Options) write(ctx context.Context) error {
	folder, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", "github.com/holdfast-dev/holdfast/config").Output()
	if err != nil {
		return fmt.Errorf("find the rules: go list: %w", err)
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(folder)), "prometheus", "rules.yaml"))
	if err != nil {
		return err
	}
	every := "1s"
	if o.Hurry {
		every = "500ms" // half a minute
		if text, err = hurried(text); err != nil {
			return err
		}
	}
	var rules struct{ Spec json.RawMessage }
	if err := yaml.Unmarshal(text, &rules); err != nil {
		return fmt.Errorf("read the rules: %w", err)
	}
	scrape := map[string]any{"job_name": "holdfast", "static_configs": []any{map[string]any{"targets": o.Targets}}}
	if o.Token != "" {
		scrape["authorization"] = map[string]any{"credentials": o.Token}
	}
	settings, err := json.Marshal(map[string]any{
		"global": map[string]any{"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every}, "rule_files": []string{rulesFile}, "scrape_configs": []any{scrape},
	})
	if err != nil {
		return err
	}
	// JSON is YAML.
	return errors.Join(os.WriteFile(filepath.Join(o.Dir, rulesFile), rules.Spec, 0o600), os.WriteFile(filepath.Join(o.Dir, settingsFile), settings, 0o600))
}

// Stop ends it.
func (p *Prometheus) Stop() error { return p.program.Stop(20 * time.Second) }

// Ask asks its API.
func (p *Prometheus) Ask(ctx context.Context, path string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+path, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", answer.Status, body)
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(body, into)
}

// Series has labels, and a value at the moment that was asked for.
type Series struct {
	Labels map[string]string
	Value  float64
}

// Query returns the series of a query whose value is a number.
func (p *Prometheus) Query(ctx context.Context, query string) ([]Series, error) {
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	if err := p.Ask(ctx, "/api/v1/query?query="+url.QueryEscape(query), &answer); err != nil {
		return nil, fmt.Errorf("%s: %w", query, err)
	}
	var found []Series
	for _, s := range answer.Data.Result {
		if value, err := strconv.ParseFloat(fmt.Sprint(s.Value[1]), 64); err == nil && !math.IsNaN(value) {
			found = append(found, Series{s.Metric, value})
		}
	}
	return found, nil
}

// Alerts returns the state of each alert that is pending or firing. Of an alert with several series, firing counts.
func (p *Prometheus) Alerts(ctx context.Context) (map[string]string, error) {
	var answer struct {
		Data struct {
			Alerts []struct {
				Labels map[string]string
				State  string
			}
		}
	}
	if err := p.Ask(ctx, "/api/v1/alerts", &answer); err != nil {
		return nil, fmt.Errorf("ask for alerts: %w", err)
	}
	states := map[string]string{}
	for _, a := range answer.Data.Alerts {
		if name := a.Labels["alertname"]; states[name] != Firing {
			states[name] = strings.ToLower(a.State)
		}
	}
	return states, nil
}

// States of an alert.
const (
	Pending = "pending"
	Firing  = "firing"
)
