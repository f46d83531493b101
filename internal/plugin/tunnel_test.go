//go:build unix

package plugin_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/internal/testenv/kubelet"
)

// installed is the report service, as it is in a cluster: a Service, and a Pod on a node whose kubelet forwards to the program. It is HTTPS with a certificate that nobody knows.
type installed struct {
	node    *kubelet.Kubelet
	pod     *corev1.Pod
	service *corev1.Service
	address string
}

// onNode ends with the suite's process.
var onNode *kubelet.Kubelet

// installReports installs the service, until the test ends.
func (f *fixture) installReports() *installed {
	f.t.Helper()
	address, health := f.free(), f.free()
	program, err := localcluster.StartProgram(ctx, localcluster.Program{
		Name: "reports", Path: filepath.Join(programs, "holdfast"), Args: []string{"reports", "--bind-address", address, "--health-probe-bind-address", health},
		Env: []string{"KUBECONFIG=" + stack.Cluster.Kubeconfig(), "HOLDFAST_DATABASE_URL=" + stack.Postgres.URL()}, Log: filepath.Join(stack.Dir, "logs", f.t.Name()+"-reports.log"),
		Ready: localcluster.Answers("http://" + health + "/readyz"),
	})
	f.Expect(err).NotTo(HaveOccurred())
	f.t.Cleanup(func() { f.Expect(program.Stop(testenv.Timeout)).To(Succeed()) })
	if onNode == nil {
		onNode, err = kubelet.Start(ctx, api, "reports-node")
		f.Expect(err).NotTo(HaveOccurred())
	}
	labels := map[string]string{"app.kubernetes.io/name": "holdfast", "app.kubernetes.io/component": "reports"}
	meta := metav1.ObjectMeta{Namespace: "holdfast-system", Name: "holdfast-reports", Labels: labels}
	in := &installed{node: onNode, address: address, service: &corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{Selector: labels,
		Ports: []corev1.ServicePort{{Name: "https", Port: 443, TargetPort: intstr.FromString("https")}}}}}
	f.create(in.service)
	f.t.Cleanup(func() { f.delete(in.service) })
	in.pod = f.reportsPod("holdfast-reports-0", labels)
	in.node.Forward("holdfast-system", in.pod.Name, 8443, address)
	return in
}

func (f *fixture) reportsPod(name string, labels map[string]string) *corev1.Pod {
	f.t.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "holdfast-system", Name: name, Labels: labels}, Spec: corev1.PodSpec{NodeName: onNode.Node,
		Containers: []corev1.Container{{Name: "reports", Image: "holdfast:latest", Ports: []corev1.ContainerPort{{Name: "https", ContainerPort: 8443}}}}}}
	f.Eventually(func() error { // the account of the namespace comes a moment after it
		err := api.Create(ctx, pod.DeepCopy())
		if apierrors.IsForbidden(err) {
			return err
		}
		f.Expect(err).NotTo(HaveOccurred())
		return nil
	}).Should(Succeed())
	f.read(pod)
	f.t.Cleanup(func() { f.delete(pod, client.GracePeriodSeconds(0)) })
	before := pod.DeepCopy()
	pod.Status.Phase = corev1.PodRunning
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	f.Expect(api.Status().Patch(ctx, pod, client.MergeFrom(before))).To(Succeed())
	return pod
}

// free is an address that nobody listens on.
func (f *fixture) free() string {
	f.t.Helper()
	address, err := localcluster.FreeAddress()
	f.Expect(err).NotTo(HaveOccurred())
	return address
}

// reader gives the namespace the account that opens its reports.
func (f *fixture) reader() {
	f.t.Helper()
	f.create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "holdfast-reader"}})
	f.create(&rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "holdfast-reader"},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "holdfast-report-viewer"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "holdfast-reader", Namespace: f.namespace}}})
}

// manifests creates what a file of config has.
func (f *fixture) manifests(path ...string) {
	f.t.Helper()
	file, err := os.Open(filepath.Join(append([]string{"..", "..", "config"}, path...)...))
	f.Expect(err).NotTo(HaveOccurred())
	defer file.Close()
	for documents := utilyaml.NewYAMLOrJSONDecoder(file, 4096); ; {
		o := &unstructured.Unstructured{}
		if err := documents.Decode(o); errors.Is(err, io.EOF) {
			return
		} else if f.Expect(err).NotTo(HaveOccurred()); len(o.Object) == 0 {
			continue
		}
		if err := api.Create(ctx, o); !apierrors.IsAlreadyExists(err) {
			f.Expect(err).NotTo(HaveOccurred())
			f.t.Cleanup(func() { f.delete(o) })
		}
	}
}

// bind gives a user a role in a namespace.
func (f *fixture) bind(user, namespace, kind, role string) {
	f.t.Helper()
	b := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: user + "-"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: role},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}}}
	f.create(b)
	f.t.Cleanup(func() { f.delete(b) })
}

// The commands find the service, a Pod and a token by themselves. Each right that is missing is named, and the shipped roles are enough.
func TestTheWayToTheReportService(t *testing.T) {
	f := setup(t)
	f.manifests("reports", "viewer.yaml")
	f.manifests("reports", "reader.yaml")
	f.Expect(f.in("trends")).To(And(HaveField("Code", 2), HaveField("Stderr", ContainSubstring("no report service"))))
	in := f.installReports()
	f.Expect(f.in("trends")).To(And(HaveField("Code", 2), HaveField("Stderr", And(ContainSubstring("has no account holdfast-reader"), ContainSubstring("docs/kubectl.md#rights")))))
	f.reader()
	stop := f.manager(stack.Postgres.URL())
	rr := testenv.MakeRemediation(f.namespace, "absent").Obj()
	f.create(rr)
	f.Expect(f.in("wait", "rr/absent", "--for=closed", "--timeout=2m").Code).To(BeZero())
	f.Expect(f.in("wait", "rr/absent", "--for=drained", "--timeout=2m").Code).To(BeZero())
	stop()

	f.Expect(f.in("report", "absent")).To(And(HaveField("Code", 0), HaveField("Stdout", ContainSubstring("absent"))))
	f.Expect(f.in("report", "--since=1h", "-o", "name").Stdout).To(Equal(string(rr.UID) + "\n"))
	var h historyOf
	f.into(f.in("history", "rr/absent", "-o", "json"), &h)
	f.Expect(h.Verdict.Whole).To(BeTrue(), "%+v", h)
	f.Expect(h.Entries).To(And(Not(BeEmpty()), HaveEach(HaveField("State", "durable"))))
	f.example("report --since 24h -n shop", f.in("report", "--since=24h"), 0)
	s := f.in("trends", "--since=24h")
	head := s
	head.Stdout = strings.Join(strings.SplitAfterN(s.Stdout, "\n", 13)[:12], "")
	f.example("trends -n shop --since 24h | head -n 12", head, 0)
	f.Expect(s.Stdout).To(And(ContainSubstring("KubePodCrashLooping"), Not(ContainSubstring("|---"))))
	var trends struct{ Outcomes map[string]any }
	f.into(f.in("trends", "--since=1h", "-o", "json"), &trends)
	f.Expect(trends.Outcomes).NotTo(BeEmpty())
	f.Expect(f.kubectl("trends", "-A", "-o", "html").Stdout).To(HavePrefix("<!"))
	f.Expect(f.in("trends", "--since=0d")).To(And(HaveField("Code", 2), HaveField("Stderr", ContainSubstring("--since is 0s"))))

	as := func(want string) {
		t.Helper()
		f.Eventually(func() said { return f.in("report", "absent", "--as=jane") }).Should(And(HaveField("Code", 2), HaveField("Stderr", ContainSubstring(want))))
	}
	as(`cannot list resource "services"`)
	f.create(&rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: "holdfast-system", Name: "looks"}, Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"services", "pods"}, Verbs: []string{"list"}}}})
	f.bind("jane", "holdfast-system", "Role", "looks")
	as("you may not create pods/portforward in the namespace holdfast-system")
	f.bind("jane", "holdfast-system", "Role", "holdfast-reports-port-forward")
	as("you may not create a token of the account holdfast-reader in " + f.namespace)
	f.bind("jane", f.namespace, "ClusterRole", "holdfast-reader-token")
	f.Eventually(func() said { return f.in("report", "absent", "--as=jane") }).Should(HaveField("Code", 0))
	f.Expect(f.kubectl("report", string(rr.UID), "-n", "default", "--as=jane")).To(HaveField("Code", 2), "the token of another namespace")

	t.Run("console", func(t *testing.T) { f.console(t, in) })

	f.Expect(f.in("trends", "--reports-service=other")).To(And(HaveField("Code", 2), HaveField("Stderr", ContainSubstring(`"other" not found`))))
	in.node.Forward("holdfast-system", in.pod.Name, 8443, "127.0.0.1:1")
	f.Expect(f.in("trends")).To(And(HaveField("Code", 2), HaveField("Stderr", ContainSubstring("the kubelet says of the Pod holdfast-reports-0"))))
	f.read(in.pod)
	before := in.pod.DeepCopy()
	in.pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse}}
	f.Expect(api.Status().Patch(ctx, in.pod, client.MergeFrom(before))).To(Succeed())
	s = f.in("history", "rr/absent", "-o", "json")
	f.Expect(s).To(And(HaveField("Code", 2), HaveField("Stdout", ContainSubstring("no Pod of the Service holdfast-reports in holdfast-system is ready: holdfast-reports-0 is Running"))))
}
