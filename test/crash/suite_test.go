package crash

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/test/oracle"
)

var (
	ctx      = context.Background()
	env      *testenv.Env
	program  string
	database *sql.DB
	watching *oracle.Oracle
	update   = flag.Bool("update", false, "write testdata/boundaries.txt anew")
)

// worlds that run at a time. Most of what they do is waiting.
const worlds = "6"

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = f.Value.Set(worlds)
	}
	dir, err := os.MkdirTemp("", "holdfast-crash-")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "holdfast")
	if err := testenv.BuildProgram(ctx, program, os.Stdout, "-tags", "failpoint"); err != nil {
		fmt.Println(err)
		return 1
	}
	if env, err = testenv.Start(ctx); err != nil {
		fmt.Println(err)
		return 1
	}
	// A cluster need not have the policy, and without it there is one write more at which a manager may die.
	if err := env.WithoutFinalizerPolicy(ctx); err != nil {
		fmt.Println(errors.Join(err, env.Stop()))
		return 1
	}
	code := 1
	if database, err = sql.Open("pgx", env.DatabaseURL); err != nil {
		fmt.Println(err)
	} else if err := grant(); err != nil {
		fmt.Println(err)
	} else if _, err = database.ExecContext(ctx, "ALTER TABLE notification_audit ADD CHECK (remediation_id <> '"+refused+"')"); err != nil {
		fmt.Println(err)
	} else if watching, err = oracle.Start(ctx, env.Config); err != nil {
		fmt.Println(err)
	} else {
		code = m.Run()
		watching.Stop()
	}
	if database != nil {
		database.Close()
	}
	if err := env.Stop(); err != nil {
		fmt.Println(err)
		return 1
	}
	return code
}

// grant lets the service accounts of all worlds repair what is in them, and waits until the authorizer knows.
func grant() error {
	meta := metav1.ObjectMeta{Name: "crash-remediator"}
	role := &rbacv1.ClusterRole{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{"apps"}, Resources: []string{"deployments", "replicasets"}, Verbs: []string{"get", "list", "patch"}},
		{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"list"}},
		{APIGroups: []string{""}, Resources: []string{"pods/eviction"}, Verbs: []string{"create"}},
	}}
	binding := &rbacv1.ClusterRoleBinding{ObjectMeta: meta,
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: meta.Name},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "Group", Name: "system:serviceaccounts"}}}
	if err := env.Client.Create(ctx, role); err != nil {
		return err
	}
	if err := env.Client.Create(ctx, binding); err != nil {
		return err
	}
	return wait.PollUntilContextTimeout(ctx, testenv.Interval, testenv.Timeout, true, func(ctx context.Context) (bool, error) {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: "system:serviceaccount:default:remediator", Groups: []string{"system:serviceaccounts"},
			ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: "default", Group: "apps", Resource: "deployments", Verb: "patch"},
		}}
		err := env.Client.Create(ctx, review)
		return review.Status.Allowed, err
	})
}

// deadline bounds one life of one world on a busy machine: attempts that a dead manager left behind are waited for.
const deadline = 2 * time.Minute
