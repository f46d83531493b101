//go:build unix

package install

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"
	authenticationv1 "k8s.io/api/authentication/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
)

// environment is that of a container: its variables, and a kubeconfig with a token of its Pod's account in the place of the mounted one.
func (w *world) environment(t *testing.T, ns string, pod *corev1.PodSpec) []string {
	t.Helper()
	g := NewWithT(t)
	env := []string{"PATH=/usr/bin:/bin", "TMPDIR=" + os.TempDir()}
	for _, v := range pod.Containers[0].Env {
		value := v.Value
		if from := v.ValueFrom; from != nil {
			switch {
			case from.SecretKeyRef != nil:
				secret, err := w.clientset.CoreV1().Secrets(ns).Get(ctx, from.SecretKeyRef.Name, metav1.GetOptions{})
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(secret.Data).To(HaveKey(from.SecretKeyRef.Key))
				value = string(secret.Data[from.SecretKeyRef.Key])
			case from.FieldRef.FieldPath == "metadata.namespace":
				value = ns
			default:
				value = "pod-0"
			}
		}
		env = append(env, v.Name+"="+value)
	}
	if pod.ServiceAccountName == "" {
		return env
	}
	token, err := w.clientset.CoreV1().ServiceAccounts(ns).CreateToken(ctx, pod.ServiceAccountName, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	rest := w.cluster.RESTConfig()
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: rest.Host, CertificateAuthorityData: rest.CAData}
	config.AuthInfos["a"] = &clientcmdapi.AuthInfo{Token: token.Status.Token}
	config.Contexts["c"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "a", Namespace: ns}
	config.CurrentContext = "c"
	path := filepath.Join(t.TempDir(), "kubeconfig")
	g.Expect(clientcmd.WriteToFile(*config, path)).To(Succeed())
	return append(env, "KUBECONFIG="+path)
}

// startManager runs the manager of the installed Deployment, with what was rendered for it. stop ends it as a kubelet does.
func (w *world) startManager(t *testing.T) (stop func()) {
	t.Helper()
	return w.startManagerWith(t)
}

// startManagerWith changes some of its variables.
func (w *world) startManagerWith(t *testing.T, more ...string) (stop func()) {
	t.Helper()
	g := NewWithT(t)
	deployment, err := w.clientset.AppsV1().Deployments(namespace).Get(ctx, "holdfast-manager", metav1.GetOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	pod := &deployment.Spec.Template.Spec
	probes, err := localcluster.FreeAddress()
	g.Expect(err).NotTo(HaveOccurred())
	metrics, err := localcluster.FreeAddress()
	g.Expect(err).NotTo(HaveOccurred())
	log := filepath.Join(t.TempDir(), "manager.log")
	running, err := localcluster.StartProgram(ctx, localcluster.Program{
		Name: "manager", Path: filepath.Join(w.programs, "holdfast"), Log: log,
		Args:  append(pod.Containers[0].Args, "--health-probe-bind-address="+probes, "--metrics-bind-address="+metrics, "--leader-elect-namespace="+namespace, "--idle-trim-delay=1s"),
		Env:   append(w.environment(t, namespace, pod), more...),
		Ready: localcluster.Answers("http://" + probes + "/readyz"),
	})
	g.Expect(err).NotTo(HaveOccurred())
	var once sync.Once
	stop = func() {
		once.Do(func() {
			if err := running.Stop(20 * time.Second); err != nil {
				text, _ := os.ReadFile(log)
				t.Errorf("stop the manager: %v\n%s", err, text)
			}
		})
	}
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			text, _ := os.ReadFile(log)
			t.Logf("the manager's log:\n%s", text[max(0, len(text)-6000):])
		}
	})
	return stop
}

// jobs runs the Jobs of the namespace as they come, once each, and says how they ended. output has what each printed, by the Job's name.
type jobs struct {
	mu     sync.Mutex
	output map[string]said
}

func (j *jobs) of(name string) said {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.output[name]
}

func (w *world) runJobs(t *testing.T) (*jobs, func()) {
	t.Helper()
	j := &jobs{output: map[string]said{}}
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-end:
				return
			case <-time.After(interval):
			}
			all, err := w.clientset.BatchV1().Jobs(namespace).List(ctx, metav1.ListOptions{})
			if err != nil {
				t.Error(err)
				return
			}
			for i := range all.Items {
				if job := &all.Items[i]; job.Status.StartTime == nil {
					j.run(t, w, job)
				}
			}
		}
	}()
	return j, func() { close(end); <-ended }
}

func (j *jobs) run(t *testing.T, w *world, job *batchv1.Job) {
	t.Helper()
	begin := metav1.Now()
	ran := w.runWith(t, w.environment(t, job.Namespace, &job.Spec.Template.Spec), "holdfast", job.Spec.Template.Spec.Containers[0].Args...)
	j.mu.Lock()
	j.output[job.Name] = ran
	j.mu.Unlock()
	status := batchv1.JobStatus{StartTime: &begin}
	conditions := []batchv1.JobConditionType{batchv1.JobFailureTarget, batchv1.JobFailed}
	if ran.Code == 0 {
		now := metav1.Now()
		status.CompletionTime, status.Succeeded = &now, 1
		conditions = []batchv1.JobConditionType{batchv1.JobSuccessCriteriaMet, batchv1.JobComplete}
	} else {
		status.Failed = 1
	}
	for _, condition := range conditions {
		status.Conditions = append(status.Conditions, batchv1.JobCondition{Type: condition, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now(), Message: fmt.Sprintf("exit status %d", ran.Code)})
	}
	job.Status = status
	if err := w.client.Status().Update(ctx, job); client.IgnoreNotFound(err) != nil {
		t.Errorf("update the status of the Job %s: %v", job.Name, err)
	}
}

// managerLog runs the manager until it has logged some words.
func (w *world) managerLog(t *testing.T, words ...string) string {
	t.Helper()
	g := NewWithT(t)
	deployment, err := w.clientset.AppsV1().Deployments(namespace).Get(ctx, "holdfast-manager", metav1.GetOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	pod := &deployment.Spec.Template.Spec
	log := filepath.Join(t.TempDir(), "manager.log")
	running, err := localcluster.StartProgram(ctx, localcluster.Program{
		Name: "manager", Path: filepath.Join(w.programs, "holdfast"), Log: log, Env: w.environment(t, namespace, pod),
		Args: append(pod.Containers[0].Args, "--health-probe-bind-address=0", "--metrics-bind-address=0", "--leader-elect-namespace="+namespace),
	})
	g.Expect(err).NotTo(HaveOccurred())
	defer func() { _ = running.Kill() }() // it may have ended
	matchers := make([]types.GomegaMatcher, len(words))
	for i := range words {
		matchers[i] = ContainSubstring(words[i])
	}
	said := ""
	g.Eventually(func() string {
		text, _ := os.ReadFile(log)
		said = string(text)
		return said
	}, timeout, interval).Should(And(matchers...))
	return said
}
