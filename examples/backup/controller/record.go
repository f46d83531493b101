package controller

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	corev1 "k8s.io/api/core/v1"

	backupv1 "github.com/holdfast-dev/holdfast/examples/backup/api/v1"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// Record is what an audit entry says of a Backup: all of it as of that moment, so that the newest row is its summary.
type Record struct {
	Source     string          `json:"source"`
	Target     string          `json:"target"`
	Copies     int32           `json:"copies"`
	Digest     string          `json:"digest,omitempty"`
	CopiedTime *outboxapi.Time `json:"copied_time,omitempty"`
}

func recordOf(b *backupv1.Backup) Record {
	return Record{
		Source: b.Spec.Source, Target: b.Spec.Target,
		Copies: b.Status.Copies, Digest: b.Status.Digest, CopiedTime: b.Status.CopiedTime,
	}
}

// digestOf is the SHA-256 of a ConfigMap's content: JSON, whose keys encoding/json sorts.
func digestOf(source *corev1.ConfigMap) string {
	text, err := json.Marshal([]any{source.Data, source.BinaryData})
	if err != nil {
		panic(err) // maps of strings and bytes always encode
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
