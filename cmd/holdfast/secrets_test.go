package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

// Where somebody puts a credential, and what the command says of it. XQZ and ZQX are the credential's; everything but the credential may be said.
func TestNoCommandSaysACredential(t *testing.T) {
	folder := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(folder, name)
		NewWithT(t).Expect(os.WriteFile(path, []byte(content), 0o600)).To(Succeed())
		return path
	}
	kubeconfig := func(name, server, more, token string) string {
		return write(name, "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {token: "+token+"}}]\n"+
			"clusters: [{name: c, cluster: {server: '"+server+"'"+more+"}}]\n")
	}
	cluster := kubeconfig("cluster", "https://127.0.0.1:1", "", "x")
	manager := func(args ...string) []string {
		return append([]string{"manager", "--kubeconfig", cluster, "--metrics-bind-address=0", "--health-probe-bind-address=0"}, args...)
	}
	const aDatabase = "--database-url=postgres://me@127.0.0.1:1/x"
	for name, c := range map[string]struct {
		args []string
		env  map[string]string
		says string
	}{
		"an @ in the password":              {args: []string{"verify"}, env: map[string]string{"HOLDFAST_DATABASE_URL": "postgres://u:XQZ@ZQX@127.0.0.1:1/db"}, says: "@ as %40"},
		"an @ in a flag's":                  {args: []string{"migrate", "up", "--database-url", "postgres://u:XQZ@ZQX@127.0.0.1:1/db"}, says: "HOLDFAST_DATABASE_URL"},
		"PGPASSWORD of two lines":           {args: []string{"migrate", "status", "--database-url", "postgres://u@127.0.0.1:1/db"}, env: map[string]string{"PGPASSWORD": "XQZ\nZQX"}, says: "PGPASSWORD"},
		"one dash":                          {args: []string{"verify", "-database-url=postgres://u:XQZ@127.0.0.1:1/db"}, says: "two dashes"},
		"one dash for a token":              {args: []string{"manager", "-store-token", "XQZZQX"}, says: "two dashes"},
		"no flag":                           {args: []string{"verify", "postgres://u:XQZ@127.0.0.1:1/db"}, says: "takes flags only"},
		"no flag and no command":            {args: []string{"postgres://u:XQZ@127.0.0.1:1/db"}, says: "unknown command"},
		"a flag that is none":               {args: []string{"verify", "--postgres://u:XQZ@127.0.0.1:1/db"}, says: "unknown flag"},
		"a flag without a name":             {args: []string{"verify", "--=XQZ"}, says: "malformed flag"},
		"keywords that the shell has split": {args: []string{"verify", "--database-url", "host=127.0.0.1", "password=XQZ", "port=1"}, says: "takes flags only"},
		"a URL as a number":                 {args: manager("--workers", "postgres://u:XQZ@127.0.0.1:1/db"), says: "--workers"},
		"a URL as a variable's number":      {args: manager(), env: map[string]string{"HOLDFAST_WORKERS": "postgres://u:XQZ@127.0.0.1:1/db"}, says: "HOLDFAST_WORKERS"},
		"a service with a user":             {args: manager("--store-url", "https://XQZ@storage.invalid"), says: "--store-url"},
		"a service of another scheme":       {args: manager(), env: map[string]string{"HOLDFAST_STORE_URL": "u:XQZ@storage.invalid"}, says: "--store-url"},
		"a service's token of two lines":    {args: manager("--store-url", "https://storage.invalid"), env: map[string]string{"HOLDFAST_STORE_TOKEN": "XQZ\nZQX"}, says: "--store-token"},
		"dev's token of two lines":          {args: manager("--store-url", "https://storage.invalid"), env: map[string]string{"HOLDFAST_STORAGE_TOKEN": "XQZ\nZQX"}, says: "HOLDFAST_STORAGE_TOKEN"},
		"a token in the place of its file":  {args: manager("--store-url", "https://storage.invalid", "--store-token-file", "XQZZQX"), says: "--store-token-file"},
		"certificates instead of a file":    {args: manager("--store-url", "https://storage.invalid"), env: map[string]string{"HOLDFAST_STORE_CA_FILE": "-----BEGIN\nXQZ\n-----END"}, says: "HOLDFAST_STORE_CA_FILE"},
		"a key instead of a file":           {args: []string{"storage", "--insecure-no-auth", aDatabase, "--tls-cert-file=x"}, env: map[string]string{"HOLDFAST_TLS_KEY_FILE": "-----BEGIN\nXQZ\n-----END"}, says: "HOLDFAST_TLS_KEY_FILE"},
		"an investigator with a user":       {args: manager(aDatabase, "--investigator-url", "http://u:XQZ@holmes.invalid"), says: "--investigator-url"},
		"an investigator with a key":        {args: manager(aDatabase, "--investigator-url", "holmes.invalid/?key=XQZ"), says: "--investigator-url"},
		"an investigator's token":           {args: manager(aDatabase, "--investigator-url", "http://holmes.invalid"), env: map[string]string{"HOLDFAST_INVESTIGATOR_TOKEN": "XQZ ZQX"}, says: "--investigator-token"},
		"a cluster with a password":         {args: []string{"verify", aDatabase, "--kubeconfig", kubeconfig("a", "https://u:XQZ@127.0.0.1:1", "", "x")}, says: `cluster "c"`},
		"a cluster with half a password":    {args: []string{"export", "--file=" + folder + "/out", "--kubeconfig", kubeconfig("b", "https://u:XQZ/ZQX@127.0.0.1:1", "", "x")}, says: `cluster "c"`},
		"a cluster's proxy":                 {args: []string{"verify", aDatabase, "--kubeconfig", kubeconfig("c", "https://127.0.0.1:1", ", proxy-url: 'http://u:XQZ/ZQX@127.0.0.1:1'", "x")}, says: "proxy-url"},
		"a cluster's proxy, no scheme":      {args: []string{"verify", aDatabase, "--kubeconfig", kubeconfig("f", "https://127.0.0.1:1", ", proxy-url: 'u:XQZ@127.0.0.1:1'", "x")}, says: "proxy-url"},
		"a cluster's proxy, two hosts":      {args: []string{"verify", aDatabase, "--kubeconfig", kubeconfig("d", "https://127.0.0.1:1", ", proxy-url: 'http://u:XQZ@ZQX@127.0.0.1:1'", "x")}, says: "proxy-url"},
		"a cluster's token":                 {args: []string{"verify", aDatabase, "--kubeconfig", kubeconfig("e", "https://127.0.0.1:1", "", "*XQZZQX")}, says: "kubeconfig"},
		"a kubeconfig instead of its file":  {args: []string{"verify", aDatabase}, env: map[string]string{"KUBECONFIG": "apiVersion=v1\ntoken=XQZ"}, says: "KUBECONFIG"},
		"a proxy's variable":                {args: []string{"verify", aDatabase}, env: map[string]string{"HTTPS_PROXY": "http://u:XQZ/ZQX@127.0.0.1:1"}, says: "HTTPS_PROXY"},
		"a proxy's variable, two hosts":     {args: []string{"dev", "--state-dir", folder}, env: map[string]string{"http_proxy": "u:XQZ@ZQX@127.0.0.1:1"}, says: "http_proxy"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			for _, variable := range os.Environ() {
				if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "HOLDFAST_") || strings.HasPrefix(name, "PG") || name == "KUBECONFIG" || strings.HasSuffix(strings.ToUpper(name), "_PROXY") {
					t.Setenv(name, "")
				}
			}
			t.Setenv("PGPASSFILE", folder+"/none")
			for name, value := range c.env {
				t.Setenv(name, value)
			}
			var all bytes.Buffer
			g.Expect(run(t.Context(), c.args, &all, &all)).NotTo(BeZero())
			g.Expect(all.String()).To(And(Not(ContainSubstring("XQZ")), Not(ContainSubstring("ZQX")), ContainSubstring(c.says)))
		})
	}
}

// echo, editors and Secrets made of files leave a newline.
func TestBlanksAroundVariables(t *testing.T) {
	g := NewWithT(t)
	u := database(t)
	t.Setenv("HOLDFAST_DATABASE_URL", " "+u+"\r\n")
	t.Setenv("HOLDFAST_OUTPUT", "json\n")
	t.Setenv("KUBECONFIG", " \n")
	g.Expect(holdfast(t, "migrate", "up").Status).To(BeZero())
	g.Expect(holdfast(t, "verify")).To(has(0, ContainSubstring(`"intact": true`), BeEmpty()))
	t.Setenv("HOLDFAST_DATABASE_URL", " \n")
	g.Expect(holdfast(t, "verify", "--database-url", "\t"+u+"\n")).To(has(0, ContainSubstring(`"intact": true`), BeEmpty()))
	g.Expect(holdfast(t, "verify").Stderr).To(ContainSubstring("set --database-url or HOLDFAST_DATABASE_URL"))
}

func TestMisspeltCommands(t *testing.T) {
	g := NewWithT(t)
	g.Expect(holdfast(t, "manger")).To(has(1, BeEmpty(), And(ContainSubstring(`unknown command "manger"`), ContainSubstring("manager"))))
	g.Expect(holdfast(t, "manger").Stderr).NotTo(ContainSubstring("Usage"))
	g.Expect(holdfast(t)).To(has(0, ContainSubstring("Available Commands"), BeEmpty()))
	g.Expect(holdfast(t, "verify", "--databas-url", "x")).To(has(2, BeEmpty(), ContainSubstring("unknown flag: --databas-url")))
}
