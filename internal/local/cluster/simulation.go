//go:build unix

package cluster

import (
	"bytes"
	"embed"
	"fmt"
	"os"
	"strings"

	"sigs.k8s.io/yaml"
)

//go:embed kwok
var kwokFiles embed.FS

// writeStages writes kwok's configuration: the Stages, each reference "@file" replaced by that file's text.
func writeStages(path string) error {
	source, err := kwokFiles.ReadFile("kwok/stages.yaml")
	if err != nil {
		return fmt.Errorf("read the embedded Stages: %w", err)
	}
	var out bytes.Buffer
	for i, document := range bytes.Split(source, []byte("\n---\n")) {
		var stage any
		if err := yaml.Unmarshal(document, &stage); err != nil {
			return fmt.Errorf("read Stage %d: %w", i+1, err)
		}
		if stage, err = resolve(stage); err != nil {
			return fmt.Errorf("complete Stage %d: %w", i+1, err)
		}
		text, err := yaml.Marshal(stage)
		if err != nil {
			return fmt.Errorf("write Stage %d: %w", i+1, err)
		}
		out.WriteString("---\n")
		out.Write(text)
	}
	if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write the Stages: %w", err)
	}
	return nil
}

// resolve replaces the texts "@file" in a tree of values.
func resolve(value any) (any, error) {
	var err error
	switch v := value.(type) {
	case map[string]any:
		for key := range v {
			if v[key], err = resolve(v[key]); err != nil {
				return nil, err
			}
		}
	case []any:
		for i := range v {
			if v[i], err = resolve(v[i]); err != nil {
				return nil, err
			}
		}
	case string:
		if name, ok := strings.CutPrefix(v, "@"); ok {
			text, err := kwokFiles.ReadFile("kwok/" + name)
			return string(text), err
		}
	}
	return value, nil
}
