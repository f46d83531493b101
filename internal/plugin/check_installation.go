package plugin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"

	"github.com/holdfast-dev/holdfast/config"
)

// installation is what check finds, and how it was installed.
type installation struct {
	*cluster
	client dynamic.Interface
	result *checked
	// workloads run managers, in the namespace of the installation: in others anybody may give these labels to anything. unread says why they could not be listed.
	workloads []workload
	unread    error
	// outside: managers run outside of the cluster, as with holdfast dev, with rights of their own.
	outside bool
	// elsewhere: there is an installation in another namespace.
	elsewhere bool
}

// workload is a Deployment or StatefulSet of managers.
type workload struct {
	metav1.ObjectMeta
	kind string
	pod  corev1.PodSpec
}

const managerName = "holdfast-manager"

func (in *installation) add(state, check, detail, command string) {
	in.result.add(checkItem{Check: check, State: state, Detail: detail, Command: command})
}

// repair is the command that brings back what belongs to a folder of config, in the way in which Holdfast was installed.
func (in *installation) repair(folder string) string {
	for i := range in.workloads {
		w := &in.workloads[i]
		if release := w.Annotations["meta.helm.sh/release-name"]; release != "" {
			return "helm upgrade " + quoted(release) + " charts/holdfast --reset-then-reuse-values -n " + quoted(in.system)
		}
	}
	switch {
	case folder == "rbac" && in.system != defaultSystem: // it names the namespace of the account
		folder = overlay
	case folder != overlay:
		folder = "config/" + folder
	}
	return in.kubectl() + " apply -k " + folder + " --server-side"
}

// overlay stands for the reader's own kustomization, as in docs/install.md. The image of the managers is there: config/default alone would make them run one that nobody has.
const overlay = "your-overlay"

// find lists the managers' workloads.
func (in *installation) find(ctx context.Context) (err error) {
	in.workloads, err = in.workloadsIn(ctx, in.system)
	if apierrors.IsForbidden(err) {
		in.unread, err = err, nil
	}
	return err
}

func (in *installation) workloadsIn(ctx context.Context, namespace string) ([]workload, error) {
	managers := metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=holdfast,app.kubernetes.io/component=manager"}
	deployments, err := in.clientset.AppsV1().Deployments(namespace).List(ctx, managers)
	if err != nil {
		return nil, err
	}
	sets, err := in.clientset.AppsV1().StatefulSets(namespace).List(ctx, managers)
	if err != nil {
		return nil, err
	}
	var all []workload
	for i := range deployments.Items {
		d := &deployments.Items[i]
		all = append(all, workload{d.ObjectMeta, "deployment", d.Spec.Template.Spec})
	}
	for i := range sets.Items {
		s := &sets.Items[i]
		all = append(all, workload{s.ObjectMeta, "statefulset", s.Spec.Template.Spec})
	}
	return all, nil
}

// checkOne looks for a second installation. Only an account that a ClusterRoleBinding gives the managers' role can be one's: who administers a namespace makes Deployments, accounts and leases
// with any name and label in it, and no such binding. Where the account runs no manager, and nobody holds a lease, the binding alone is what an installation has left behind.
func (in *installation) checkOne(ctx context.Context) {
	const check = "one installation"
	bindings, err := in.clientset.RbacV1().ClusterRoleBindings().List(ctx, metav1.ListOptions{})
	if err != nil {
		in.add(checkUnknown, check, reasonOf(err), "")
		return
	}
	others := map[string]bool{}
	for i := range bindings.Items {
		b := &bindings.Items[i]
		if b.RoleRef.Kind != "ClusterRole" || b.RoleRef.Name != managerName {
			continue
		}
		for _, s := range b.Subjects {
			if s.Kind == rbacv1.ServiceAccountKind && s.Namespace != in.system {
				others[s.Namespace] = true
			}
		}
	}
	for _, namespace := range slices.Sorted(maps.Keys(others)) {
		workloads, err := in.workloadsIn(ctx, namespace)
		leases, failed := in.managersIn(ctx, namespace, time.Now())
		switch {
		case len(workloads) > 0 || slices.ContainsFunc(leases, func(m manager) bool { return m.Active }):
			in.elsewhere = true
			in.addOther(namespace, workloads)
		case err != nil || failed != nil:
			in.add(checkUnknown, check, reasonOf(errors.Join(err, failed)), "")
		}
	}
}

// addOther names another installation. The command keeps the one that is asked about, and deletes no more than the other's workload: definitions, policies and roles are shared, and deleting the
// definitions deletes all resources.
func (in *installation) addOther(namespace string, workloads []workload) {
	const check = "one installation"
	there := "kubectl holdfast check" + in.flags() + " --system-namespace " + quoted(namespace)
	switch {
	case in.unread == nil && len(in.workloads) == 0:
		in.add(checkFailed, check, fmt.Sprintf("managers are installed in the namespace %s, and none in %s", namespace, in.system), there)
	case len(workloads) == 0:
		in.add(checkFailed, check, fmt.Sprintf("managers run in the namespace %s too, outside of the cluster, and only the last installation has the rights", namespace), there)
	}
	for i := range workloads {
		if w := &workloads[i]; in.unread != nil || len(in.workloads) > 0 {
			in.add(checkFailed, check, fmt.Sprintf("managers are installed in the namespace %s too, and only the last installation has the rights. To keep this one, delete the other's %s, and no more of it: the rest is "+
				"shared. To keep the other one, see `%s`", namespace, w.kind, there), fmt.Sprintf("%s -n %s delete %s %s", in.kubectl(), quoted(namespace), w.kind, quoted(w.Name)))
		}
	}
}

// checkDefinitions compares the CustomResourceDefinitions with those of this release.
func (in *installation) checkDefinitions(ctx context.Context) error {
	ours, err := config.CRDs()
	if err != nil {
		return err
	}
	resource := apiextensionsv1.SchemeGroupVersion.WithResource("customresourcedefinitions")
	for _, our := range ours {
		check := "definition " + our.Spec.Names.Plural
		found, err := in.client.Resource(resource).Get(ctx, our.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			in.add(checkFailed, check, "the CustomResourceDefinition "+our.Name+" is missing", in.repair("crd"))
			continue
		case apierrors.IsForbidden(err):
			in.add(checkUnknown, "definitions", reasonOf(err), "")
			return nil
		case err != nil:
			return err
		}
		their := &apiextensionsv1.CustomResourceDefinition{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(found.Object, their); err != nil {
			return fmt.Errorf("read the CustomResourceDefinition %s: %w", our.Name, err)
		}
		in.checkDefinition(check, our, their)
	}
	return nil
}

func (in *installation) checkDefinition(check string, our, their *apiextensionsv1.CustomResourceDefinition) {
	lacking, more := config.Difference(our, their)
	switch {
	case their.DeletionTimestamp != nil:
		in.add(checkFailed, check, "it is being deleted, and goes with its last resource: docs/operations.md#uninstalled-in-the-wrong-order", in.verb("list -A --held"))
	case len(lacking) > 0:
		in.add(checkFailed, check, "it is of another release than this program, and lacks "+listed3(lacking)+": the API server drops what is written there", in.repair("crd"))
	case len(more) > 0:
		in.add(checkFailed, check, "it is of a newer release than this program, and has "+listed3(more)+": older managers drop that; use the manager and the plugin of that release", in.verb("version"))
	default:
		in.add(checkOK, check, "as in this release", "")
	}
}

// listed3 names the first of some fields.
func listed3(fields []string) string {
	const shown = 3
	if n := len(fields) - shown; n > 0 {
		return strings.Join(fields[:shown], ", ") + " and " + counted(n, "other field")
	}
	return strings.Join(fields, ", ")
}

// checkWorkload looks for what runs managers, its account and its Secret. Managers that run outside of the cluster have none.
func (in *installation) checkWorkload(ctx context.Context) {
	if in.unread != nil {
		in.add(checkUnknown, "workload", reasonOf(in.unread), "")
		return
	}
	if len(in.workloads) == 0 {
		if all, err := in.managers(ctx, time.Now()); err == nil && slices.ContainsFunc(all, func(m manager) bool { return m.Active }) {
			in.outside = true // whoever holds the lease runs elsewhere
			return
		}
		if in.elsewhere {
			return
		}
		in.add(checkFailed, "workload", "no Deployment and no StatefulSet "+managerName+" is in the namespace "+in.system, in.repair(overlay))
		return
	}
	if len(in.workloads) > 1 {
		in.add(checkFailed, "workload", "a Deployment and a StatefulSet run managers: the Deployment handles all resources, also those of the shards",
			in.kubectl()+" -n "+quoted(in.system)+" delete deployment "+managerName)
	}
	for i := range in.workloads {
		in.checkAccount(ctx, &in.workloads[i])
		in.checkSecrets(ctx, &in.workloads[i])
	}
}

func (in *installation) checkAccount(ctx context.Context, w *workload) {
	_, err := in.clientset.CoreV1().ServiceAccounts(in.system).Get(ctx, w.pod.ServiceAccountName, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		in.add(checkFailed, "account", "the ServiceAccount "+w.pod.ServiceAccountName+" is missing, and its Pods cannot be created", in.repair("rbac"))
	case err != nil:
		in.add(checkUnknown, "account", reasonOf(err), "")
	default:
		in.add(checkOK, "account", "the ServiceAccount "+w.pod.ServiceAccountName+" is there", "")
	}
}

// checkSecrets looks for the keys of Secrets that the managers' variables come from. It reads whether they are there, and shows nothing of them.
func (in *installation) checkSecrets(ctx context.Context, w *workload) {
	for i := range w.pod.Containers {
		for _, v := range w.pod.Containers[i].Env {
			if v.ValueFrom == nil || v.ValueFrom.SecretKeyRef == nil {
				continue
			}
			ref := v.ValueFrom.SecretKeyRef
			create := fmt.Sprintf("%s -n %s create secret generic %s --from-literal=%s='…'", in.kubectl(), quoted(in.system), quoted(ref.Name), quoted(ref.Key))
			secret, err := in.clientset.CoreV1().Secrets(in.system).Get(ctx, ref.Name, metav1.GetOptions{})
			switch {
			case apierrors.IsNotFound(err):
				in.add(checkFailed, "secret "+ref.Name, "it is missing: "+v.Name+" comes from its key "+ref.Key+", and the Pods do not start", create)
			case err != nil:
				in.add(checkUnknown, "secret "+ref.Name, reasonOf(err), "")
			case len(secret.Data[ref.Key]) == 0:
				in.add(checkFailed, "secret "+ref.Name, "it has no key "+ref.Key+", which "+v.Name+" comes from, and the Pods do not start",
					fmt.Sprintf("%s -n %s edit secret %s", in.kubectl(), quoted(in.system), quoted(ref.Name)))
			default:
				in.add(checkOK, "secret "+ref.Name, "it has the key "+ref.Key, "")
			}
		}
	}
}

// shards is --total-shards of the installed managers.
func (in *installation) shards() int {
	for i := range in.workloads {
		if w := &in.workloads[i]; len(w.pod.Containers) > 0 {
			for _, arg := range w.pod.Containers[0].Args {
				if value, ok := strings.CutPrefix(arg, "--total-shards="); ok {
					n, _ := strconv.Atoi(value)
					return min(n, maxShards)
				}
			}
		}
	}
	return 1
}

const (
	maxShards = 1024
	// reviewsAtOnce are the rights that are asked about at the same time.
	reviewsAtOnce = 8
)

// checkRights asks for every right that the manifests give to the managers' account.
func (in *installation) checkRights(ctx context.Context) error {
	if in.outside {
		in.add(checkOK, "rights", "not asked about: the managers run outside of the cluster, under another account than "+managerName, "")
		return nil
	}
	wanted, own, err := config.ManagerRights()
	if err != nil {
		return err
	}
	for i := range in.shards() {
		for _, verb := range []string{"get", "update"} {
			if n := in.shards(); n > 1 {
				own = append(own, authorizationv1.ResourceAttributes{Group: "coordination.k8s.io", Resource: "leases", Verb: verb, Name: fmt.Sprintf("%s-%d-of-%d", managerName, i, n)})
			}
		}
	}
	for i := range own {
		own[i].Namespace = in.system
	}
	wanted = append(wanted, own...)
	user := "system:serviceaccount:" + in.system + ":" + managerName
	groups := []string{"system:serviceaccounts", "system:serviceaccounts:" + in.system, "system:authenticated"}
	refused := make([]error, len(wanted))
	var together errgroup.Group
	together.SetLimit(reviewsAtOnce)
	for i := range wanted {
		together.Go(func() error {
			review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: user, Groups: groups, ResourceAttributes: &wanted[i]}}
			answer, err := in.clientset.AuthorizationV1().SubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
			if err == nil && !answer.Status.Allowed {
				refused[i] = errors.New(config.RightText(&wanted[i]))
			}
			return err
		})
	}
	if err := together.Wait(); err != nil {
		in.add(checkUnknown, "rights", reasonOf(err), "")
		return nil
	}
	refused = slices.DeleteFunc(refused, func(e error) bool { return e == nil })
	if len(refused) == 0 {
		in.add(checkOK, "rights", "the account "+managerName+" may do its work", "")
		return nil
	}
	detail := fmt.Sprintf("the account %s may not %v", user, refused[0])
	if n := len(refused) - 1; n > 0 {
		detail += ", and lacks " + counted(n, "other right")
	}
	in.add(checkFailed, "rights", detail, in.repair("rbac"))
	return nil
}

// checkRoles looks for the roles that people are bound to. Those of services that are not installed are theirs.
func (in *installation) checkRoles(ctx context.Context) error {
	roles, err := config.Roles()
	if err != nil {
		return err
	}
	var missing []string
	for _, role := range roles {
		if !slices.Contains([]string{"holdfast-approver", "holdfast-metrics-reader", "holdfast-requester", "holdfast-viewer"}, role.GetName()) {
			continue
		}
		_, err := in.client.Resource(rbacv1.SchemeGroupVersion.WithResource("clusterroles")).Get(ctx, role.GetName(), metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			missing = append(missing, role.GetName())
		case err != nil:
			in.add(checkUnknown, "roles", reasonOf(err), "")
			return nil
		}
	}
	if len(missing) > 0 {
		in.add(checkFailed, "roles", "the ClusterRole "+strings.Join(missing, ", ")+are(len(missing), " is", " are")+" missing: whoever is bound to it has lost its rights", in.repair("rbac"))
		return nil
	}
	in.add(checkOK, "roles", "the ClusterRoles for people are there", "")
	return nil
}
