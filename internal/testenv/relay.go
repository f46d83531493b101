package testenv

import (
	"context"
	"fmt"
	"io"

	"github.com/uptrace/bun"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/migrations"
	"github.com/holdfast-dev/holdfast/outbox"
	"github.com/holdfast-dev/holdfast/postgres"
	"github.com/holdfast-dev/holdfast/relay"
)

func ctrlConfig() ctrlconfig.Controller {
	return ctrlconfig.Controller{SkipNameValidation: ptr.To(true)}
}

// Database makes a migrated database and returns its URL.
func (e *Env) Database(ctx context.Context, name string) (string, error) {
	url, err := e.Postgres.CreateDatabase(ctx, name)
	if err != nil {
		return "", err
	}
	return url, migrations.Up(ctx, url, io.Discard)
}

// Kinds are Holdfast's own four.
func Kinds() []outbox.Object {
	return []outbox.Object{&v1alpha1.RemediationRequest{}, &v1alpha1.AIAnalysis{}, &v1alpha1.WorkflowExecution{}, &v1alpha1.NotificationRequest{}}
}

// StartManager runs a manager with the relay of the four kinds over this suite's database, and what setup adds.
func (e *Env) StartManager(setup func(ctrl.Manager, *outbox.Writer) error) (stop func() error, err error) {
	return e.StartManagerWith(relay.Config{}, setup)
}

// StartManagerWith is StartManager with settings of the relay.
func (e *Env) StartManagerWith(c relay.Config, setup func(ctrl.Manager, *outbox.Writer) error) (stop func() error, err error) {
	mgr, err := e.NewManager()
	if err != nil {
		return nil, err
	}
	s, err := postgres.Open(context.Background(), e.DatabaseURL, postgres.Options{})
	if err != nil {
		return nil, err
	}
	if c.Recorder == nil {
		if c.Recorder, err = Recorder(mgr, "holdfast-relay"); err != nil {
			return nil, err
		}
	}
	r, err := relay.Add(mgr, s, c, Kinds()...)
	if err != nil {
		return nil, err
	}
	if setup != nil {
		if err := setup(mgr, outbox.NewWriter(mgr.GetClient(), mgr.GetAPIReader(), r)); err != nil {
			return nil, err
		}
	}
	run, err := Run(mgr)
	if err != nil {
		return nil, err
	}
	return func() error {
		err := run()
		s.Close()
		return err
	}, nil
}

// Rows returns the rows of one resource in a table, by sequence, as column → value.
func (e *Env) Rows(ctx context.Context, table string, uid types.UID) ([]map[string]any, error) {
	s, err := postgres.Open(ctx, e.DatabaseURL, postgres.Options{})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	var rows []map[string]any
	if err := s.DB().NewSelect().TableExpr("?", bun.Ident(table)).Where("source_uid = ?", string(uid)).OrderExpr("sequence").Scan(ctx, &rows); err != nil {
		return nil, fmt.Errorf("rows of %s: %w", uid, err)
	}
	return rows, nil
}
