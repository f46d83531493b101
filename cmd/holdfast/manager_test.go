package main

import (
	"io"
	"testing"

	. "github.com/onsi/gomega"
)

func TestFlagsOfTheManagerThatMakeNoSense(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		env  map[string]string
		says string
	}{
		{name: "no shard", args: []string{"--total-shards=0"}, says: "--total-shards is 0: expected at least 1 shard"},
		{name: "fewer than none", args: []string{"--total-shards=-2"}, says: "--total-shards is -2: expected at least 1 shard"},
		{name: "beyond the last", args: []string{"--total-shards=2", "--shard=2"}, says: "--shard is 2: no such shard: expected 0 to 1 with --total-shards 2"},
		{name: "before the first", args: []string{"--shard=-1"}, says: "--shard is -1: no such shard: expected 0 to 0 with --total-shards 1"},
		{name: "without a total", args: []string{"--shard=1"}, says: "expected 0 to 0 with --total-shards 1"},
		{name: "by something else", args: []string{"--total-shards=2", "--shard-by=name"}, says: `--shard-by is "name": expected uid or namespace`},
		{name: "a Pod too many", args: []string{"--total-shards=2"}, env: map[string]string{"HOLDFAST_SHARD": "2"}, says: "--shard is 2"},
		{name: "no worker", args: []string{"--workers=0"}, says: "--workers is 0, expected 1 or more"},
		{name: "fewer workers than none", args: []string{"--workers=-3"}, says: "--workers is -3, expected 1 or more"},
		{name: "no time to answer", args: []string{"--investigator-timeout=0s"}, says: "--investigator-timeout is 0s, expected a positive duration"},
		{name: "blanks between namespaces", args: []string{"--namespaces=shop checkout"}, says: "--namespaces contains (not shown), expected comma-separated namespace names"},
		{name: "no name of a namespace", args: []string{"--namespaces=shop,Shop"}, says: `--namespaces contains "Shop"`},
		{name: "no number", env: map[string]string{"HOLDFAST_SHARD": "first"}, says: `variable HOLDFAST_SHARD is "first"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := NewWithT(t)
			for name, value := range c.env {
				t.Setenv(name, value)
			}
			root := newRootCommand()
			root.SetArgs(append([]string{"manager"}, c.args...))
			root.SetOut(io.Discard)
			root.SetErr(io.Discard)
			g.Expect(root.ExecuteContext(t.Context())).To(MatchError(ContainSubstring(c.says)))
		})
	}
}

func TestAShardFromVariables(t *testing.T) {
	g := NewWithT(t)
	t.Setenv("HOLDFAST_SHARD", "1")
	t.Setenv("HOLDFAST_TOTAL_SHARDS", "2")
	t.Setenv("HOLDFAST_SHARD_BY", "namespace")
	t.Setenv("HOLDFAST_DATABASE_URL", "")
	t.Setenv("KUBECONFIG", "/does/not/exist")
	root := newRootCommand()
	root.SetArgs([]string{"manager"})
	root.SetOut(io.Discard)
	root.SetErr(io.Discard)
	g.Expect(root.ExecuteContext(t.Context())).To(MatchError(ContainSubstring("/does/not/exist")), "the shard is one")
}
