package api_test

import (
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// BackupStatus is a kind's status as kubebuilder made it, with the outbox embedded.
type BackupStatus struct {
	outboxapi.Status `json:",inline"`

	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

type Backup struct {
	Status BackupStatus `json:"status"`
}

// OutboxStatus is the one method that the kind needs.
func (b *Backup) OutboxStatus() (*outboxapi.Status, *[]metav1.Condition) {
	return &b.Status.Status, &b.Status.Conditions
}

func ExampleStatus() {
	b := &Backup{}
	fmt.Println(outboxapi.Get(b).IsZero())
	if err := json.Unmarshal([]byte(`{"status":{"outbox":{"lastSequence":7,"persistedSequence":7,"headHash":"","closed":false,"entries":[]}}}`), b); err != nil {
		panic(err)
	}
	fmt.Println(outboxapi.Get(b).LastSequence, len(b.Status.Outbox.Entries))
	// Output:
	// true
	// 7 0
}

func ExampleParseTime() {
	t, err := outboxapi.ParseTime("2026-11-23T05:05:06.123456789+01:00")
	fmt.Println(t, err)
	// Output: 2026-11-23T04:05:06.123456Z <nil>
}
