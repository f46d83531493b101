// Package v1 has the kind Backup: an example of somebody else's kind that embeds an outbox.
//
// +kubebuilder:object:generate=true
// +groupName=backups.example.com
package v1

//go:generate ../../../../bin/controller-gen object paths=./... crd output:crd:artifacts:config=../../config
