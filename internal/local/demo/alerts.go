//go:build unix

package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
)

// alertRule is what an alerting rule adds to an alert.
type alertRule struct{ name, severity, summary string }

// alert is one that fires, in the fields that Alertmanager's API and the messages of its webhook share.
type alert struct {
	Status      string            `json:"status,omitempty"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	StartsAt    time.Time         `json:"startsAt"`
}

// fire is the alert of a workload. occasion tells a later one from the first; it is a label that names nothing.
func fire(w workload, occasion string, now time.Time) alert {
	return alert{
		Labels:      map[string]string{"alertname": w.alert.name, "severity": w.alert.severity, "namespace": namespace, "deployment": w.name, "instance": occasion},
		Annotations: map[string]string{"summary": w.alert.summary},
		StartsAt:    now,
	}
}

// sender is how alerts reach the gateway: through an Alertmanager where this machine has one, else as it would post them.
type sender struct {
	url, token   string
	alertmanager *localcluster.Running
}

// alertmanagers are the names of the program, in Debian and elsewhere.
var alertmanagers = []string{"prometheus-alertmanager", "alertmanager"}

// newSender starts an Alertmanager if there is one.
func (d *demo) newSender(ctx context.Context) (*sender, error) {
	s := &sender{url: d.stack.GatewayURL + "/api/v1/alertmanager", token: d.stack.GatewayToken}
	for _, name := range alertmanagers {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		address, err := localcluster.FreeAddress()
		if err != nil {
			return nil, err
		}
		settings := filepath.Join(d.stack.Dir, "alertmanager.yml")
		if err := os.WriteFile(settings, fmt.Appendf(nil, alertmanagerSettings, s.url, d.stack.GatewayTokenFile), 0o600); err != nil {
			return nil, fmt.Errorf("write the settings of Alertmanager: %w", err)
		}
		s.alertmanager, err = localcluster.StartProgram(ctx, localcluster.Program{
			Name: "alertmanager", Path: path, Env: []string{"PATH=" + os.Getenv("PATH")}, Log: filepath.Join(d.stack.Dir, "logs", "alertmanager.log"),
			Args:  []string{"--config.file=" + settings, "--storage.path=" + filepath.Join(d.stack.Dir, "alertmanager"), "--web.listen-address=" + address, "--cluster.listen-address="},
			Ready: localcluster.Answers("http://" + address + "/-/ready"),
		})
		if err != nil {
			return nil, err
		}
		s.url, s.token = "http://"+address+"/api/v2/alerts", ""
		break
	}
	return s, nil
}

const alertmanagerSettings = `route: {receiver: holdfast, group_by: [namespace, deployment], group_wait: 100ms, group_interval: 1s, repeat_interval: 1h}
receivers:
  - name: holdfast
    webhook_configs:
      - url: %s
        http_config: {authorization: {type: Bearer, credentials_file: %s}}
`

func (s *sender) stop() error {
	if s == nil || s.alertmanager == nil {
		return nil
	}
	return s.alertmanager.Stop(5 * time.Second)
}

// through names what the alerts go through.
func (s *sender) through() string {
	if s.alertmanager == nil {
		return "posted to the gateway as Alertmanager does (there is none on this machine)"
	}
	return "posted to Alertmanager, which sends them to the gateway"
}

// send hands an alert over.
func (s *sender) send(ctx context.Context, a alert) error {
	var body any = []alert{a}
	if s.alertmanager == nil {
		a.Status = "firing"
		body = map[string]any{"version": "4", "status": "firing", "receiver": "holdfast", "alerts": []alert{a}}
	}
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if s.token != "" {
		req.Header.Set("Authorization", "Bearer "+s.token)
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	reply, err := io.ReadAll(io.LimitReader(answer.Body, 4096))
	if err == nil && answer.StatusCode != http.StatusOK {
		err = errors.New(answer.Status + ": " + string(reply))
	}
	return err
}
