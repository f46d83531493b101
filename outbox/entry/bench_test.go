package entry_test

import (
	"testing"

	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// benchRecord is like those of Holdfast's own kinds: some 500 bytes.
func benchRecord() map[string]any {
	return map[string]any{
		"remediation_id":         "6f3c9d0e-58c1-4a53-9f63-0c5d1a2b3c4d",
		"signal_fingerprint":     "3f0c3f0c3f0c3f0c3f0c3f0c3f0c3f0c3f0c3f0c3f0c3f0c3f0c3f0c3f0c3f0c",
		"signal_received_at":     "2026-11-23T04:05:06.789012Z",
		"remediation_created_at": "2026-11-23T04:05:07.789012Z",
		"signal_context":         map[string]any{"name": "KubePodCrashLooping", "severity": "critical", "source": "alertmanager", "labels": map[string]any{"team": "checkout"}},
		"target":                 map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "name": "cart"},
		"services_invoked":       []any{"ai_analysis", "workflow_execution"},
		"total_duration_seconds": 42,
	}
}

func BenchmarkAppend(b *testing.B) {
	c := change(benchRecord())
	o := mustAppend(b, mustAppend(b, nil, c), c)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := entry.Append(o, source, c, now, entry.Salt{}, entry.DefaultLimits()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	text := []byte(mustAppend(b, nil, change(benchRecord())).Entries[0])
	b.ReportAllocs()
	for b.Loop() {
		if _, err := entry.Decode(text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHash(b *testing.B) {
	text := []byte(mustAppend(b, nil, change(benchRecord())).Entries[0])
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		entry.Hash(text)
	}
}
