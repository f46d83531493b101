// Package reports holds the tests of `holdfast reports` and `holdfast rar` as their users see them: a process beside a cluster, called by whoever has a token and a shell.
package reports
