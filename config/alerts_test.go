package config_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// rulesOf is the only PrometheusRule among objects.
func rulesOf(t *testing.T, objects []*unstructured.Unstructured) *prometheusRule {
	t.Helper()
	g := NewWithT(t)
	found := ofKind(objects, "PrometheusRule")
	g.Expect(found).To(HaveLen(1))
	rules := &prometheusRule{}
	g.Expect(runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(found[0].Object, rules, true)).To(Succeed())
	return rules
}

// ruleTests is what this test reads of a file of unit tests for promtool.
type ruleTests struct {
	Tests []struct {
		AlertRuleTest []struct {
			Alertname string `json:"alertname"`
			ExpAlerts []any  `json:"exp_alerts"`
		} `json:"alert_rule_test"`
	} `json:"tests"`
}

// Every alert fires when it should, and is silent before: rules_test.yaml says when, and promtool evaluates.
func TestPromtool(t *testing.T) {
	g := NewWithT(t)
	text, err := os.ReadFile("prometheus/rules_test.yaml")
	g.Expect(err).NotTo(HaveOccurred())
	var tests ruleTests
	g.Expect(yaml.Unmarshal(text, &tests)).To(Succeed())
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, test := range tests.Tests {
		for _, a := range test.AlertRuleTest {
			if len(a.ExpAlerts) > 0 {
				fires[a.Alertname] = true
			} else {
				silent[a.Alertname] = true
			}
		}
	}

	rules := rulesOf(t, build(t, "prometheus"))
	for _, group := range rules.Spec.Groups {
		for i, a := range group.Rules {
			g.Expect(fires).To(HaveKey(a.Alert), "rules_test.yaml lets it fire")
			g.Expect(silent).To(HaveKey(a.Alert), "rules_test.yaml lets it not fire")
			group.Rules[i].Annotations = map[string]string{"summary": a.Annotations["summary"]}
		}
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("NOT TRIED: promtool is not installed (Debian: apt-get install prometheus), so no alert was evaluated")
	}
	folder := t.TempDir()
	plain, err := yaml.Marshal(map[string]any{"groups": rules.Spec.Groups})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(os.WriteFile(filepath.Join(folder, "rules.yaml"), plain, 0o600)).To(Succeed())
	g.Expect(os.WriteFile(filepath.Join(folder, "rules_test.yaml"), text, 0o600)).To(Succeed())
	for _, args := range [][]string{{"check", "rules", "rules.yaml"}, {"test", "rules", "rules_test.yaml"}} {
		c := exec.CommandContext(t.Context(), promtool, args...)
		c.Dir = folder
		out, err := c.CombinedOutput()
		g.Expect(err).NotTo(HaveOccurred(), "promtool %s:\n%s", strings.Join(args, " "), out)
	}
}

// A company keeps the runbooks on a page of its own: the overlay is the one that docs/operations.md shows.
func TestTheRunbooksMayBeElsewhere(t *testing.T) {
	g := NewWithT(t)
	page, err := os.ReadFile("../docs/operations.md")
	g.Expect(err).NotTo(HaveOccurred())
	shown := regexp.MustCompile("(?s)```yaml\n([^`]*runbook_url[^`]*)```").FindStringSubmatch(string(page))
	g.Expect(shown).NotTo(BeNil(), "the page shows the overlay")
	for _, group := range rulesOf(t, overlayOf(t, strings.ReplaceAll(shown[1], "../config/", "../"))).Spec.Groups {
		for _, a := range group.Rules {
			g.Expect(a.Annotations).To(HaveKeyWithValue("runbook_url", "https://wiki.example.com/holdfast#"+strings.ToLower(a.Alert)))
		}
	}
}
