package gateway

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/outbox"
)

const (
	// EnabledLabel on a namespace, with the value Enabled, lets alerts make requests there.
	EnabledLabel = "holdfast.dev/gateway"
	// Enabled is the value of EnabledLabel.
	Enabled = "enabled"
	// ExporterLabel on a namespace, with the value "true", lets its exporters report about objects of other namespaces where Config.ExportersNeedLabel is set.
	ExporterLabel = "holdfast.dev/gateway-exporter"
	// ConfigMapName is the ConfigMap of a namespace that says what its requests get.
	ConfigMapName = "holdfast-gateway"
	// ConfigKey is the key of the ConfigMap with a Policy in YAML.
	ConfigKey = "config.yaml"
)

// Policy says what the requests of a namespace get. The first rule whose matchers all match an alert is used. Without one a request has no account and no channel, and a person approves.
type Policy struct {
	Rules []Rule `json:"rules"`
}

// Rule is what requests get, and for which alerts. It has the fields of a RemediationRequest's spec.
type Rule struct {
	// Matchers are as in Alertmanager's routes: label=value, label!=value, label=~regexp, label!~regexp. Without one the rule matches every alert.
	Matchers           []string                     `json:"matchers,omitempty"`
	ServiceAccountName string                       `json:"serviceAccountName,omitempty"`
	Approval           v1alpha1.ApprovalPolicy      `json:"approval,omitzero"`
	Notification       v1alpha1.NotificationPolicy  `json:"notification,omitzero"`
	Timeouts           v1alpha1.RemediationTimeouts `json:"timeouts,omitzero"`

	matchers []matcher
}

const (
	maxRules    = 100
	maxMatchers = 20
	// maxInstructions bounds the regular expressions of a Policy together, and maxMatched the bytes that they are matched with. An alert is compared with all of them, in the process that all
	// namespaces share.
	maxInstructions = 10_000
	maxMatched      = 1024
)

// ParsePolicy reads a Policy and checks what the API server would not.
func ParsePolicy(text string) (*Policy, error) {
	p := &Policy{}
	if err := decodeYAML(text, p); err != nil {
		return nil, fmt.Errorf("expected rules in YAML: %w", err)
	}
	if len(p.Rules) > maxRules {
		return nil, fmt.Errorf("rules: %d, expected at most %d", len(p.Rules), maxRules)
	}
	var errs []error
	instructions := uint64(0)
	for i := range p.Rules {
		if err := p.Rules[i].check(); err != nil {
			errs = append(errs, fmt.Errorf("rules[%d].%w", i, err))
		}
		for _, m := range p.Rules[i].matchers {
			instructions += m.instructions()
		}
		if instructions > maxInstructions {
			return nil, fmt.Errorf("rules[%d].matchers: the regular expressions up to here compile to about %d instructions, expected at most %d; use fewer or smaller repetitions, or = instead of =~", i, instructions, maxInstructions)
		}
	}
	return p, errors.Join(errs...)
}

func (r *Rule) check() error {
	if len(r.Matchers) > maxMatchers {
		return fmt.Errorf("matchers: %d, expected at most %d", len(r.Matchers), maxMatchers)
	}
	for i, text := range r.Matchers {
		m, err := parseMatcher(text)
		if err != nil {
			return fmt.Errorf("matchers[%d]: %w", i, err)
		}
		r.matchers = append(r.matchers, m)
	}
	switch {
	case r.ServiceAccountName != "" && validation.IsDNS1123Subdomain(r.ServiceAccountName) != nil:
		return fmt.Errorf("serviceAccountName: %q, expected the name of a ServiceAccount in this namespace", outbox.Bound(r.ServiceAccountName, 260))
	case r.Approval == v1alpha1.ApprovalPolicy{}:
		r.Approval.Mode = v1alpha1.ApprovalManual
	case r.Approval.Mode != v1alpha1.ApprovalManual && r.Approval.Mode != v1alpha1.ApprovalAuto:
		return fmt.Errorf("approval.mode: %q, expected Manual or Auto", outbox.Bound(string(r.Approval.Mode), 50))
	case r.Approval.Mode == v1alpha1.ApprovalAuto && r.Approval.AutoApproveAbove == nil:
		return errors.New("approval.autoApproveAbove: missing, expected a percentage from 0 to 100 with mode Auto")
	}
	if above := r.Approval.AutoApproveAbove; above != nil && (*above < 0 || *above > 100) {
		return fmt.Errorf("approval.autoApproveAbove: %d, expected a percentage from 0 to 100", *above)
	}
	return nil
}

// asks is the rule of a request for which nothing is configured.
var asks = &Rule{Approval: v1alpha1.ApprovalPolicy{Mode: v1alpha1.ApprovalManual}}

// ruleFor is the first rule that matches the labels. If a regular expression would have to match a value that is too long, nobody knows which rule that is.
func (p *Policy) ruleFor(labels map[string]string) *Rule {
	for i := range p.Rules {
		switch matched, known := matches(p.Rules[i].matchers, labels); {
		case !known:
			return asks
		case matched:
			return &p.Rules[i]
		}
	}
	return asks
}

// tenant is a namespace as one message sees it.
type tenant struct {
	policy *Policy
	why    *leftOut
	// broken is why the ConfigMap cannot be used. Then nothing of it is.
	broken error
}

// namespaceOf reads the metadata of a namespace, nil if there is none.
func namespaceOf(ctx context.Context, reader client.Reader, name string) (*metav1.PartialObjectMetadata, error) {
	ns := &metav1.PartialObjectMetadata{}
	ns.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	switch err := reader.Get(ctx, client.ObjectKey{Name: name}, ns); {
	case apierrors.IsNotFound(err):
		return nil, nil //nolint:nilnil // there is none
	case err != nil:
		return nil, fmt.Errorf("read namespace %s: %w", name, err)
	}
	return ns, nil
}

// exporterOf says why exporters of a namespace may not report about another one, nil if they may. Where Prometheus enforces the label namespace of what a tenant writes, exported_namespace is still
// the tenant's word. An aggregation can drop the label namespace; then nobody knows whose word it is.
func exporterOf(ctx context.Context, reader client.Reader, namespace string) (*leftOut, error) {
	if namespace == "" {
		return leave(isExporter, "label namespace is missing, and exported_namespace is an exporter's word, expected the namespace of the exporter; "+
			"keep namespace in the alerting rule, as in by (namespace, exported_namespace), or set honorLabels: true for the exporter"), nil
	}
	ns, err := namespaceOf(ctx, reader, namespace)
	if err != nil || ns != nil && ns.Labels[ExporterLabel] == "true" {
		return nil, err
	}
	return leave(isExporter, "label exported_namespace is that of an exporter in namespace %s, which has no label %s=true, expected it where exporters report about other namespaces; or set honorLabels: true for the exporter",
		namespace, ExporterLabel), nil
}

// tenantOf reads whether a namespace takes part, and its policy. It is read for each message: there is nothing to become stale.
func tenantOf(ctx context.Context, reader client.Reader, namespace string) (*tenant, error) {
	switch ns, err := namespaceOf(ctx, reader, namespace); {
	case err != nil:
		return nil, err
	case ns == nil:
		return &tenant{why: leave(notEnabled, "namespace %s is not there", namespace)}, nil
	case ns.Labels[EnabledLabel] != Enabled:
		return &tenant{why: leave(notEnabled, "namespace %s has no label %s=%s, expected it where alerts may make requests", namespace, EnabledLabel, Enabled)}, nil
	case ns.DeletionTimestamp != nil:
		return &tenant{why: leave(notEnabled, "namespace %s is being deleted", namespace)}, nil
	}
	t := &tenant{policy: &Policy{}}
	settings := &corev1.ConfigMap{}
	err := reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: ConfigMapName}, settings)
	switch {
	case apierrors.IsNotFound(err):
		return t, nil
	case err != nil:
		return nil, fmt.Errorf("read ConfigMap %s/%s: %w", namespace, ConfigMapName, err)
	}
	text, there := settings.Data[ConfigKey]
	if !there {
		t.broken = fmt.Errorf("key %s is missing, expected rules in YAML", ConfigKey)
		return t, nil
	}
	policy, err := ParsePolicy(text)
	if err != nil {
		t.broken = fmt.Errorf("key %s: %w", ConfigKey, err)
		return t, nil
	}
	t.policy = policy
	return t, nil
}
