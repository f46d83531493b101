//go:build unix

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/testenv"
)

// remediationRef of what is made without a remediation. Across shards each has one of its own, see ref.
var remediationRef = v1alpha1.RemediationRef{Name: "cart-crash", UID: "by-hand"}

// run makes the job's resource, and ends it at its moment.
func (s *stage) run(ctx context.Context, j job) error {
	o := s.object(j)
	if ok, err := s.create(ctx, o); !ok {
		return named(j, err)
	}
	if j.kind == ledger {
		if err := s.write(ctx, j, o.(*v1alpha1.WorkflowExecution)); err != nil {
			return named(j, err)
		}
	}
	s.moment(ctx, j.after)
	return named(j, s.end(ctx, j, o))
}

func named(j job, err error) error {
	if err != nil {
		return fmt.Errorf("job %s: %w", j.name, err)
	}
	return nil
}

func (s *stage) end(ctx context.Context, j job, o client.Object) error {
	switch j.ending {
	case deleted:
		s.note(string(deleted))
		_, err := s.delete(ctx, o)
		return err
	case stripped:
		s.note(string(stripped))
		return s.strip(ctx, o)
	case again:
		s.note(string(again))
		return s.again(ctx, j, o)
	case cancelled:
		_, err := s.patch(ctx, o, `{"spec":{"cancel":true}}`)
		return err
	case collected:
		s.note(string(collected))
		return s.orphan(ctx, j, o)
	case replaced:
		s.note(string(replaced))
		if ok, err := s.replace(ctx, o); !ok {
			return err
		}
	}
	return s.decide(ctx, j, o)
}

// decide ends what does not end by itself.
func (s *stage) decide(ctx context.Context, j job, o client.Object) error {
	switch j.kind {
	case ledger:
		_, err := s.patch(ctx, o, `{"spec":{"cancel":true}}`)
		return err
	case analysis:
		return s.answer(ctx, j, o)
	case approval:
		rr := o.(*v1alpha1.RemediationRequest)
		for ctx.Err() == nil {
			if ok, err := s.persist(ctx, func(ctx context.Context) error { return s.client.Get(ctx, client.ObjectKeyFromObject(rr), rr) }); !ok {
				return err
			}
			if rr.Status.Analysis != "" || rr.Status.Phase.Final() {
				break
			}
			pass(ctx, retry)
		}
		if rr.Status.Analysis == "" { // it ended before it had one
			return nil
		}
		a := &v1alpha1.AIAnalysis{}
		a.Namespace, a.Name = s.namespace, rr.Status.Analysis
		return s.answer(ctx, j, a)
	}
	return nil
}

// answer gives the decision of a person, once the question was asked.
func (s *stage) answer(ctx context.Context, j job, a client.Object) error {
	verdict := v1alpha1.VerdictApproved
	if j.reject {
		verdict = v1alpha1.VerdictRejected
	}
	_, err := s.patch(ctx, a, fmt.Sprintf(`{"spec":{"decision":{"verdict":%q,"decidedBy":%q,"method":"api","justification":"drawn"}}}`, verdict, s.me))
	if err != nil && strings.Contains(err.Error(), "is too late") {
		return nil
	}
	return err
}

// orphan gives a resource an owner that does not exist, and deletes it, as the garbage collector does then, which does not run here. Where a manager watches all the time it takes the finalizers away
// as well: the policy keeps that of an open record, but a closed one may not be durable yet.
func (s *stage) orphan(ctx context.Context, j job, o client.Object) error {
	metadata := `"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"ghost","uid":"00000000-0000-4000-8000-000000000000"}]`
	if j.strips {
		metadata += `,"finalizers":null`
	}
	if ok, err := s.patch(ctx, o, `{"metadata":{`+metadata+`}}`); !ok {
		return err
	}
	_, err := s.delete(ctx, o)
	return err
}

// replace puts a resource as a manifest in git has it: with its spec and without what others wrote into its metadata, as `kubectl replace` does.
func (s *stage) replace(ctx context.Context, o client.Object) (bool, error) {
	return s.persist(ctx, func(ctx context.Context) error {
		live := o.DeepCopyObject().(client.Object)
		if err := s.client.Get(ctx, client.ObjectKeyFromObject(o), live); err != nil {
			return err
		}
		live.SetFinalizers(nil)
		live.SetOwnerReferences(nil)
		live.SetLabels(nil)
		live.SetAnnotations(nil)
		return s.client.Update(ctx, live)
	})
}

// strip deletes a resource and takes the finalizers away until it is gone.
func (s *stage) strip(ctx context.Context, o client.Object) error {
	uid := o.GetUID()
	for {
		if ok, err := s.delete(ctx, o); !ok || o.GetUID() != uid {
			return err
		}
		if ok, err := s.patch(ctx, o, `{"metadata":{"finalizers":null}}`); !ok {
			return err
		}
	}
}

// again makes the resource anew under its name, and lets that one end by a deletion too.
func (s *stage) again(ctx context.Context, j job, o client.Object) error {
	if ok, err := s.delete(ctx, o); !ok {
		return err
	}
	if err := s.gone(ctx, o); err != nil {
		return err
	}
	o = s.object(j)
	if ok, err := s.create(ctx, o); !ok {
		return err
	}
	s.moment(ctx, s.oracle.Appended(s.namespace)+2)
	_, err := s.delete(ctx, o)
	return err
}

// object is what the job makes.
func (s *stage) object(j job) client.Object {
	switch j.kind {
	case remediation:
		return testenv.MakeRemediation(s.namespace, j.name).Auto(80).Obj()
	case approval:
		rr := testenv.MakeRemediation(s.namespace, j.name).Obj()
		rr.Spec.Target.Name = target
		return rr
	case analysis:
		rr := testenv.MakeRemediation(s.namespace, target).Obj()
		a := &v1alpha1.AIAnalysis{Spec: v1alpha1.AIAnalysisSpec{RemediationRef: s.ref(), Signal: rr.Spec.Signal, Target: rr.Spec.Target}}
		a.Namespace, a.Name = s.namespace, j.name
		return a
	case notification:
		nr := testenv.MakeNotification(s.namespace, j.name).Obj()
		nr.Spec.RemediationRef = s.ref()
		nr.Spec.Channels = append(nr.Spec.Channels, v1alpha1.Channel{Type: v1alpha1.ChannelWebhook, SecretRef: &v1alpha1.SecretKeyRef{Name: "absent", Key: "url"}})
		nr.Spec.Retry = v1alpha1.RetryPolicy{MaxAttempts: 3, InitialBackoff: &metav1.Duration{Duration: 100 * time.Millisecond}}
		return nr
	}
	seconds, steps := "0", j.steps
	if j.kind == ledger {
		seconds, steps = "600", 1
	}
	wfe := &v1alpha1.WorkflowExecution{Spec: v1alpha1.WorkflowExecutionSpec{
		RemediationRef: s.ref(), WorkflowID: "drawn", ServiceAccountName: "remediator",
		Target: v1alpha1.Target{APIVersion: "apps/v1", Kind: "Deployment", Name: target},
	}}
	for i := range steps {
		wfe.Spec.Steps = append(wfe.Spec.Steps, v1alpha1.WorkflowStep{
			Name: fmt.Sprintf("wait-%d", i), Action: "Wait", Parameters: map[string]v1alpha1.ParameterValue{"seconds": v1alpha1.ParameterValue(seconds)},
			Timeout: &metav1.Duration{Duration: 15 * time.Minute},
		})
	}
	wfe.Namespace, wfe.Name = s.namespace, j.name
	return wfe
}
