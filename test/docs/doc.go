// Package docs checks the documentation as files: links lead somewhere, and every alert has its runbook. It needs neither servers nor a network.
package docs
