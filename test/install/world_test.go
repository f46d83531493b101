//go:build unix

package install

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
)

const (
	timeout  = 2 * time.Minute // bounds a failure
	interval = 50 * time.Millisecond
)

// world is an API server and a database, and the programs. Nothing runs Pods: see node.
type world struct {
	cluster   *localcluster.Cluster
	postgres  *localcluster.Postgres
	client    client.Client
	clientset *kubernetes.Clientset
	// programs is a folder with holdfast and kubectl-holdfast.
	programs string
	// databaseURL is that of the test's own database, with the login that owns it.
	databaseURL string
}

var (
	ctx   = context.Background()
	start sync.Once
	the   *world
	stops []func() error
)

func TestMain(m *testing.M) {
	code := m.Run()
	for _, stop := range slices.Backward(stops) {
		if err := stop(); err != nil {
			fmt.Println(err)
			code = 1
		}
	}
	os.Exit(code)
}

// servers are started for the first test that needs them.
func servers(t *testing.T) *world {
	t.Helper()
	start.Do(func() {
		ctrl.SetLogger(logr.Discard())
		w := &world{}
		if err := w.bringUp(); err != nil {
			t.Fatal(err)
		}
		the = w
	})
	if the == nil {
		t.Skip("the servers did not start")
	}
	return the
}

func (w *world) bringUp() (err error) {
	if w.programs, err = os.MkdirTemp("", "holdfast-install-"); err != nil {
		return err
	}
	stops = append(stops, func() error { return os.RemoveAll(w.programs) })
	for _, name := range []string{"holdfast", "kubectl-holdfast"} { // as they are shipped, of the root's module
		build := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(w.programs, name), "./cmd/"+name)
		build.Dir = filepath.Join("..", "..")
		build.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "GOWORK=") }), "CGO_ENABLED=0")
		if text, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", name, err, text)
		}
	}
	if w.cluster, err = localcluster.Start(ctx, localcluster.Options{Profile: localcluster.ControlPlane}); err != nil {
		return err
	}
	stops = append(stops, w.cluster.Stop)
	if w.postgres, err = localcluster.StartPostgres(ctx, localcluster.PostgresOptions{}); err != nil {
		return err
	}
	stops = append(stops, w.postgres.Close)
	if w.client, err = client.New(w.cluster.RESTConfig(), client.Options{}); err != nil {
		return err
	}
	w.clientset, err = kubernetes.NewForConfig(w.cluster.RESTConfig())
	return err
}

// createDatabase makes a database as CloudNativePG does with the manifest of docs/install.md, and returns the URL of its owner.
func (w *world) createDatabase(t *testing.T, name string) string {
	t.Helper()
	g := NewWithT(t)
	page, err := os.ReadFile("../../docs/install.md")
	g.Expect(err).NotTo(HaveOccurred())
	_, text, found := strings.Cut(string(page), "postInitApplicationSQL:\n")
	g.Expect(found).To(BeTrue())
	text, _, _ = strings.Cut(text, "```")

	admin, err := pgx.Connect(ctx, w.postgres.URL())
	g.Expect(err).NotTo(HaveOccurred())
	defer admin.Close(ctx)
	run := func(in *pgx.Conn, statement string) {
		_, err := in.Exec(ctx, statement)
		var refused *pgconn.PgError
		if !errors.As(err, &refused) || refused.Code != "42710" { // roles are there for all databases
			g.Expect(err).NotTo(HaveOccurred(), statement)
		}
	}
	run(admin, "CREATE ROLE app LOGIN PASSWORD 'app'")
	run(admin, "CREATE DATABASE "+name+" OWNER app")
	inside, err := pgx.Connect(ctx, w.database(name))
	g.Expect(err).NotTo(HaveOccurred())
	defer inside.Close(ctx)
	for line := range strings.Lines(text) {
		if statement, ok := strings.CutPrefix(strings.TrimSpace(line), "- "); ok {
			run(inside, statement)
		}
	}
	address := net.JoinHostPort(inside.Config().Host, strconv.Itoa(int(inside.Config().Port)))
	return fmt.Sprintf("postgresql://app:app@%s/%s?sslmode=disable", address, name)
}

// database is the URL of the superuser.
func (w *world) database(name string) string {
	return strings.Replace(w.postgres.URL(), "/holdfast?", "/"+name+"?", 1)
}

// said is what a program printed.
type said struct {
	Code           int
	Stdout, Stderr string
}

// run runs a program with the administrator's rights.
func (w *world) run(t *testing.T, program string, args ...string) said {
	t.Helper()
	return w.runWith(t, []string{"KUBECONFIG=" + w.cluster.Kubeconfig()}, program, args...)
}

func (w *world) runWith(t *testing.T, env []string, program string, args ...string) said {
	t.Helper()
	cmd := exec.CommandContext(ctx, filepath.Join(w.programs, program), args...)
	cmd.Env = append([]string{"HOME=" + w.programs, "PATH=/usr/bin:/bin"}, env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return said{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// check is `kubectl holdfast check`.
func (w *world) check(t *testing.T, args ...string) said {
	t.Helper()
	return w.run(t, "kubectl-holdfast", append([]string{"check", "--database-url", w.databaseURL}, args...)...)
}

// prepare makes what an administrator gives to an installation: the namespace, a database of the test's own, and the Secret with its URL.
func (w *world) prepare(t *testing.T, secret, key string) {
	t.Helper()
	g := NewWithT(t)
	if err := w.client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}); !apierrors.IsAlreadyExists(err) {
		g.Expect(err).NotTo(HaveOccurred())
	}
	w.databaseURL = w.createDatabase(t, strings.ToLower(strings.ReplaceAll(t.Name(), "/", "_")))
	o := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: secret}, StringData: map[string]string{key: w.databaseURL}}
	g.Expect(client.IgnoreNotFound(w.client.Delete(ctx, o))).To(Succeed())
	g.Expect(w.client.Create(ctx, o)).To(Succeed())
}

func (w *world) migrate(t *testing.T) {
	t.Helper()
	said := w.runWith(t, []string{"HOLDFAST_DATABASE_URL=" + w.databaseURL}, "holdfast", "migrate", "up")
	NewWithT(t).Expect(said.Code).To(Equal(0), "%+v", said)
}

// inventory lists every object of the cluster, but for what comes and goes by itself.
func (w *world) inventory(t *testing.T) []string {
	t.Helper()
	g := NewWithT(t)
	lists, err := discovery.ServerPreferredResources(w.clientset.Discovery())
	g.Expect(err).NotTo(HaveOccurred())
	var all []string
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		g.Expect(err).NotTo(HaveOccurred())
		for _, r := range list.APIResources {
			if !slices.Contains(r.Verbs, "list") || r.Kind == "Event" || r.Kind == "Lease" {
				continue
			}
			found := &unstructured.UnstructuredList{}
			found.SetGroupVersionKind(gv.WithKind(r.Kind + "List"))
			if err := w.client.List(ctx, found); apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err) {
				continue // a definition that is going
			} else if err != nil {
				t.Fatalf("list %s: %v", r.Name, err)
			}
			for i := range found.Items {
				all = append(all, nameOf(&found.Items[i]))
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// added are the objects that were not there before.
func added(before, after []string) []string {
	return slices.DeleteFunc(slices.Clone(after), func(o string) bool { return slices.Contains(before, o) })
}

// left is what an installation leaves behind on purpose: the definitions.
var left = []string{
	"APIService.apiregistration.k8s.io /v1alpha1.holdfast.dev",
	"CustomResourceDefinition.apiextensions.k8s.io /aianalyses.holdfast.dev",
	"CustomResourceDefinition.apiextensions.k8s.io /notificationrequests.holdfast.dev",
	"CustomResourceDefinition.apiextensions.k8s.io /remediationrequests.holdfast.dev",
	"CustomResourceDefinition.apiextensions.k8s.io /workflowexecutions.holdfast.dev",
}

// deleteDefinitions deletes the CustomResourceDefinitions and waits until they are gone, which a stranded finalizer would prevent.
func (w *world) deleteDefinitions(t *testing.T) {
	t.Helper()
	g := NewWithT(t)
	crds := make([]*unstructured.Unstructured, 0, len(left))
	for _, name := range left[1:] {
		crds = append(crds, definition(strings.TrimPrefix(name, "CustomResourceDefinition.apiextensions.k8s.io /")))
	}
	for _, crd := range crds {
		g.Expect(client.IgnoreNotFound(w.client.Delete(ctx, crd.DeepCopy()))).To(Succeed())
	}
	for _, crd := range crds {
		w.gone(t, crd)
	}
}

func definition(name string) *unstructured.Unstructured {
	crd := &unstructured.Unstructured{}
	crd.SetAPIVersion("apiextensions.k8s.io/v1")
	crd.SetKind("CustomResourceDefinition")
	crd.SetName(name)
	return crd
}

// request makes a RemediationRequest, whose target does not exist.
func (w *world) request(t *testing.T, name string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{
		"signal": map[string]any{"fingerprint": strings.Repeat("0a", 32), "name": "Alert", "severity": "info", "source": "test", "receivedTime": "2026-01-02T03:04:05Z"},
		"target": map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "name": "none"},
	}}}
	o.SetAPIVersion("holdfast.dev/v1alpha1")
	o.SetKind("RemediationRequest")
	o.SetNamespace("default")
	o.SetName(name)
	NewWithT(t).Eventually(func() error { return w.client.Create(ctx, o) }, timeout, interval).Should(Succeed()) // a kind that is new is served some moments later
	return o
}

func (w *world) gone(t *testing.T, o client.Object) {
	t.Helper()
	NewWithT(t).Eventually(func() bool { return apierrors.IsNotFound(w.client.Get(ctx, client.ObjectKeyFromObject(o), o)) }, timeout, interval).Should(BeTrue(), o.GetName())
}
