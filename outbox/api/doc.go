// Package api has the types that a resource's status embeds: Status with its Outbox, the entries, and the time that both use.
// It imports apimachinery and nothing else, so that a package of API types that imports it imports little more.
package api
