// Package quickstart runs the commands of docs/quickstart.md.
package quickstart
