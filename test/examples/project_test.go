package examples

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"
)

// maxLines are what a retrofit may change by hand: lines added and lines removed.
const maxLines = 40

// project is a copy of an example.
type project struct {
	*WithT
	t         *testing.T
	name, dir string
}

// copyProject copies an example as it is, without an outbox.
func copyProject(t *testing.T, name string) *project {
	t.Helper()
	p := &project{WithT: NewWithT(t), t: t, name: name, dir: filepath.Join(t.TempDir(), name)}
	p.Expect(os.CopyFS(p.dir, os.DirFS(filepath.Join(root, "examples", name)))).To(Succeed())
	return p
}

// run runs a program in the project; the test fails if it does.
func (p *project) run(name string, args ...string) string {
	p.t.Helper()
	var output bytes.Buffer
	err := runIn(p.dir, &output, name, args...)
	p.Expect(err).NotTo(HaveOccurred(), output.String())
	return output.String()
}

// retrofit applies the patch of the example.
func (p *project) retrofit() {
	p.t.Helper()
	patch := filepath.Join(root, "examples", p.name, "retrofit.patch")
	text, err := os.ReadFile(patch)
	p.Expect(err).NotTo(HaveOccurred())
	p.Expect(changedLines(string(text))).To(BeNumerically("<=", maxLines), "lines that %s changes", patch)
	p.run("git", "apply", "--whitespace=nowarn", patch)
}

// changedLines counts the lines that a patch adds or removes.
func changedLines(patch string) (n int) {
	for line := range strings.Lines(patch) {
		switch {
		case strings.HasPrefix(line, "+++ "), strings.HasPrefix(line, "--- "):
		case strings.HasPrefix(line, "+"), strings.HasPrefix(line, "-"):
			n++
		}
	}
	return n
}

// generate does what `make generate manifests` does in a project of kubebuilder.
func (p *project) generate() {
	p.t.Helper()
	p.run("go", "mod", "edit", "-replace", "github.com/holdfast-dev/holdfast="+root)
	p.run("go", "mod", "tidy")
	p.run(controllerGen, "object", "crd", "paths=./...", "output:crd:artifacts:config=config/crd/bases")
	if _, err := os.Stat(filepath.Join(p.dir, "PROJECT")); err == nil {
		p.run(controllerGen, "rbac:roleName=manager-role", "paths=./...", "output:rbac:artifacts:config=config/rbac")
	}
}

// build builds main.
func (p *project) build(main string) {
	p.t.Helper()
	p.run("go", "vet", "./...")
	p.run("go", "build", "-o", "operator", main)
}

// define makes the kinds known, as the project's files are now.
func (p *project) define() {
	p.t.Helper()
	_, err := envtest.InstallCRDs(env.Config, envtest.CRDInstallOptions{Paths: []string{filepath.Join(p.dir, "config", "crd", "bases")}})
	p.Expect(err).NotTo(HaveOccurred())
}

// access gives the operator the rights of its role and no others. It returns a kubeconfig of the operator's.
func (p *project) access() (kubeconfig string) {
	p.t.Helper()
	text, err := os.ReadFile(filepath.Join(p.dir, "config", "rbac", "role.yaml"))
	p.Expect(err).NotTo(HaveOccurred())
	role := &rbacv1.ClusterRole{}
	p.Expect(yaml.UnmarshalStrict(text, role)).To(Succeed())
	role.Name = fmt.Sprintf("example-%s-%d", p.name, time.Now().UnixNano())
	p.Expect(env.Client.Create(ctx, role)).To(Succeed())
	p.Expect(env.Client.Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: role.Name}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
	})).To(Succeed())

	config := clientcmdapi.NewConfig()
	config.Clusters["test"] = &clientcmdapi.Cluster{Server: env.Config.Host, CertificateAuthorityData: env.Config.CAData}
	config.AuthInfos["test"] = &clientcmdapi.AuthInfo{ClientCertificateData: env.Config.CertData, ClientKeyData: env.Config.KeyData, Impersonate: role.Name}
	config.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "test", Namespace: "default"}
	config.CurrentContext = "test"
	kubeconfig = filepath.Join(p.dir, "kubeconfig")
	p.Expect(clientcmd.WriteToFile(*config, kubeconfig)).To(Succeed())
	return kubeconfig
}
