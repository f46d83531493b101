package install

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/yaml"
)

// changes has a value of each kind that is different from the default, and what has to be on before it shows.
var changes = map[string]struct{ value, with string }{
	"image.repository":     {`registry.example.com/holdfast`, ``},
	"image.tag":            {`v9`, ``},
	"image.digest":         {`sha256:` + strings.Repeat("0a", 32), ``},
	"image.pullPolicy":     {`Always`, ``},
	"image.pullSecrets":    {`[registry]`, ``},
	"crds.enabled":         {`false`, ``},
	"crds.keep":            {`false`, ``},
	"database.cnpgCluster": {`audit`, ``},
	"clusterName":          {`east`, ``},

	"manager.shards":                                {`3`, ``},
	"manager.coolDown":                              {`2h30m`, ``},
	"manager.relayed.enabled":                       {`true`, `storage: {enabled: true}`},
	"manager.relayed.url":                           {`https://audit.example.com`, `{storage: {enabled: true}, manager: {relayed: {enabled: true}}}`},
	"manager.relayed.caConfigMap":                   {`authority`, `manager: {relayed: {enabled: true, url: "https://audit.example.com"}}`},
	"storage.networkPolicy.enabled":                 {`false`, `storage: {enabled: true}`},
	"reports.networkPolicy.enabled":                 {`false`, `reports: {enabled: true}`},
	"reports.narrator.enabled":                      {`true`, `reports: {enabled: true}`},
	"reports.narrator.url":                          {`https://models.example.com/v1`, `reports: {enabled: true, narrator: {enabled: true}}`},
	"reports.narrator.model":                        {`other`, `reports: {enabled: true, narrator: {enabled: true}}`},
	"reports.narrator.tokenSecret":                  {`other`, `reports: {enabled: true, narrator: {enabled: true}}`},
	"reports.narrator.port":                         {`8443`, `reports: {enabled: true, narrator: {enabled: true}}`},
	"gateway.networkPolicy.enabled":                 {`false`, `gateway: {enabled: true}`},
	"networkPolicy.apiServerPorts":                  {`[8443]`, `storage: {enabled: true}`},
	"networkPolicy.databasePorts":                   {`[6432]`, `reports: {enabled: true}`},
	"monitoring.runbooks":                           {`https://wiki.example.com/holdfast`, `monitoring: {rules: true}`},
	"monitoring.labels":                             {`{release: prometheus}`, `monitoring: {rules: true}`},
	"monitoring.dashboard.labels.grafana_dashboard": {`"2"`, `monitoring: {dashboard: {enabled: true}}`},
	"pods.annotations":                              {`{a: b}`, ``},
	"pods.labels":                                   {`{a: b}`, ``},
	"pods.nodeSelector":                             {`{a: b}`, ``},
	"pods.tolerations":                              {`[{operator: Exists}]`, ``},
	"pods.affinity":                                 {`{nodeAffinity: {}}`, ``},
	"pods.priorityClassName":                        {`system-cluster-critical`, ``},
	"pods.topologySpread.topologyKey":               {`topology.kubernetes.io/zone`, ``},
	"pods.topologySpread.whenUnsatisfiable":         {`DoNotSchedule`, ``},
	"uninstall.drainTimeout":                        {`1m`, ``},
	"commonLabels":                                  {`{team: platform}`, ``},
	"extraObjects":                                  {`[{apiVersion: v1, kind: ConfigMap, metadata: {name: more}}, "# {{ .Release.Name }}"]`, ``},
}

// ofTheKind are changes of values that occur in several places, by the last word.
var ofTheKind = map[string]string{
	"enabled": `true`, "replicas": `3`, "args": `["--log-level=debug"]`, "env": `[{name: A, value: b}]`, "key": `other`, "existingSecret": `other`, "tlsSecret": `other`, "tokenSecret": `other`,
	"resources.requests": `{cpu: 2}`, "resources.limits": `{memory: 2Gi}`, "goMemoryLimit": `1GiB`, "podMonitors": `true`, "rules": `true`, "maxSkew": `2`, "timeoutSeconds": `5`,
	"podDisruptionBudget.enabled": `false`, "topologySpread.enabled": `false`, "drain": `false`, "manager.podDisruptionBudget.enabled": `true`,
}

// leaves are the paths of all values.
func leaves(prefix string, of map[string]any) (all []string) {
	for name, value := range of {
		path := strings.TrimPrefix(prefix+"."+name, ".")
		if inner, ok := value.(map[string]any); ok && len(inner) > 0 && !strings.HasSuffix(prefix, ".resources") {
			all = append(all, leaves(path, inner)...)
		} else {
			all = append(all, path)
		}
	}
	return all
}

// nested is the YAML of one value at a path.
func nested(path, value string) string {
	for _, name := range slices.Backward(strings.Split(path, ".")) {
		value = fmt.Sprintf("{%s: %s}", name, value)
	}
	return value
}

func merged(t *testing.T, texts ...string) map[string]any {
	t.Helper()
	all := values(t, "")
	for _, text := range texts {
		more := map[string]any{}
		NewWithT(t).Expect(yaml.Unmarshal([]byte(text), &more)).To(Succeed(), text)
		merge(all, more)
	}
	return all
}

func merge(into, from map[string]any) {
	for name, value := range from {
		inner, ok := value.(map[string]any)
		if old, was := into[name].(map[string]any); ok && was {
			merge(old, inner)
		} else {
			into[name] = value
		}
	}
}

func defaults(t *testing.T) map[string]any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(chartDir, "values.yaml"))
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	all := map[string]any{}
	NewWithT(t).Expect(yaml.UnmarshalStrict(text, &all)).To(Succeed())
	return all
}

func TestEveryValueChangesWhatIsRendered(t *testing.T) {
	before := map[string]string{} // by what is on
	for _, path := range slices.Sorted(slices.Values(leaves("", defaults(t)))) {
		t.Run(path, func(t *testing.T) {
			change, ok := changes[path]
			if !ok { // the longest of those that fit
				for _, end := range slices.SortedFunc(maps.Keys(ofTheKind), func(a, b string) int { return len(b) - len(a) }) {
					if path == end || strings.HasSuffix(path, "."+end) {
						change.value = ofTheKind[end]
						break
					}
				}
				if top, _, inner := strings.Cut(path, "."); inner && !strings.HasSuffix(path, top+".enabled") && slices.Contains([]string{"storage", "reports", "gateway", "migrate"}, top) {
					change.with = top + ": {enabled: true}"
				}
			}
			g := NewWithT(t)
			g.Expect(change.value).NotTo(BeEmpty(), "a new value: add to changes what is different from its default")
			base := "crds: {enabled: false}" // they are most of the work
			if strings.HasPrefix(path, "crds.") {
				base = ""
			}
			if before[base+change.with] == "" {
				before[base+change.with] = everything(t, merged(t, base, change.with))
			}
			g.Expect(everything(t, merged(t, base, change.with, nested(path, change.value)))).NotTo(Equal(before[base+change.with]))
		})
	}
}

func TestWrongValuesAreRefusedWithTheirPath(t *testing.T) {
	for given, said := range map[string]string{
		`replicas: 3`:                                    `additional properties 'replicas' not allowed`,
		`manager: {replica: 3}`:                          `at '/manager': additional properties 'replica' not allowed`,
		`manager: {replicas: two}`:                       `at '/manager/replicas': got string, want integer`,
		`manager: {replicas: -1}`:                        `at '/manager/replicas'`,
		`manager: {shards: 0}`:                           `at '/manager/shards'`,
		`manager: {coolDown: 1 hour}`:                    `at '/manager/coolDown'`,
		`manager: {relayed: {url: "http://plain"}}`:      `at '/manager/relayed/url'`,
		`manager: {args: ["migrate"]}`:                   `at '/manager/args/0'`,
		`manager: {env: [{value: x}]}`:                   `at '/manager/env/0': missing property 'name'`,
		`database: {existingSecret: "a\nb"}`:             `at '/database/existingSecret'`,
		`database: {existingSecret: ""}`:                 `at '/database/existingSecret'`,
		`database: {cnpgCluster: Upper}`:                 `at '/database/cnpgCluster'`,
		`image: {digest: latest}`:                        `at '/image/digest'`,
		`image: {pullPolicy: Sometimes}`:                 `at '/image/pullPolicy': value must be one of`,
		`networkPolicy: {databasePorts: [70000]}`:        `at '/networkPolicy/databasePorts/0'`,
		`networkPolicy: {databasePorts: []}`:             `at '/networkPolicy/databasePorts'`,
		`pods: {labels: {a: 1}}`:                         `at '/pods/labels/a': got number, want string`,
		`storage: {enabled: "yes"}`:                      `at '/storage/enabled': got string, want boolean`,
		`uninstall: {drainTimeout: forever}`:             `at '/uninstall/drainTimeout'`,
		`manager: {relayed: {enabled: true}}`:            `manager.relayed.enabled: expected storage.enabled=true too, or the URL of a Data Storage API in manager.relayed.url`,
		`image: {repository: ""}`:                        `image.repository: expected the name of the image that you built`,
		`image: {repository: "x: y"}`:                    `at '/image/repository'`,
		`clusterName: "a b"`:                             `at '/clusterName'`,
		`pods: {topologySpread: {whenUnsatisfiable: x}}`: `at '/pods/topologySpread/whenUnsatisfiable'`,

		// Helm takes null for: without the default.
		`manager: null`:                    `missing property 'manager'`,
		`database: {existingSecret: null}`: `at '/database': missing property 'existingSecret'`,

		`image: {tag: 1.0}`: `at '/image/tag': got number, want string`,
		`image: {repository: "https://registry.example.com/holdfast"}`: `at '/image/repository'`,
		`image: {repository: "registry.example.com/holdfast:v1"}`:      `at '/image/repository'`,
		`manager: {shards: 2.5}`:                                       `at '/manager/shards': got number, want integer`,
		`manager: {args: ["--leader-elect false"]}`:                    `at '/manager/args/0'`,
		`manager: {env: [{name: POD_NAME, value: x}]}`:                 `at '/manager/env/0/name'`,
		`gateway: {env: [{name: "A=B", value: x}]}`:                    `at '/gateway/env/0/name'`,
		`manager: {resources: {limits: {memory: lots}}}`:               `at '/manager/resources/limits/memory'`,
		`manager: {resources: {limits: 1Gi}}`:                          `at '/manager/resources/limits': got string, want object`,
		`commonLabels: {app.kubernetes.io/name: other}`:                `at '/commonLabels/app.kubernetes.io~1name'`,
		`pods: {labels: {app.kubernetes.io/component: x}}`:             `at '/pods/labels/app.kubernetes.io~1component'`,
		`commonLabels: {"bad key!": x}`:                                `at '/commonLabels': additional properties 'bad key!' not allowed`,
		`monitoring: {runbooks: "wiki page"}`:                          `at '/monitoring/runbooks'`,
		`monitoring: {labels: {a: "b c"}}`:                             `at '/monitoring/labels/a'`,
		`pods: {annotations: {"a b": c}}`:                              `at '/pods/annotations'`,
	} {
		t.Run(given, func(t *testing.T) {
			_, err := template(t, merged(t, given))
			NewWithT(t).Expect(err).To(MatchError(ContainSubstring(said)))
		})
	}
}

// Editors show the descriptions, and a value without one was forgotten.
func TestTheSchemaDescribesEveryValueAndNoOther(t *testing.T) {
	g := NewWithT(t)
	text, err := os.ReadFile(filepath.Join(chartDir, "values.schema.json"))
	g.Expect(err).NotTo(HaveOccurred())
	var root map[string]any
	g.Expect(json.Unmarshal(text, &root)).To(Succeed())
	described(t, "", root, defaults(t))
}

func described(t *testing.T, path string, schema, defaults map[string]any) {
	t.Helper()
	g := NewWithT(t)
	properties, _ := schema["properties"].(map[string]any)
	if properties == nil {
		return
	}
	g.Expect(schema).To(HaveKeyWithValue("additionalProperties", false), path)
	for name, inner := range properties {
		at := strings.TrimPrefix(path+"."+name, ".")
		property := inner.(map[string]any)
		g.Expect(property["description"]).NotTo(BeEmpty(), at)
		value, there := defaults[name]
		if optional := at == "global" || strings.HasSuffix(at, ".resources.claims"); !there && !optional {
			t.Errorf("%s is in values.schema.json and not in values.yaml", at)
		}
		next, _ := value.(map[string]any)
		described(t, at, property, next)
	}
}
