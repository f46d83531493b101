//go:build unix

package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
)

// failingWorkloads starts the workloads and waits until they fail.
func (d *demo) failingWorkloads(ctx context.Context) error {
	d.heading("2  Five workloads in namespace shop; four of them fail", "Deployments, ReplicaSets and the scheduler are real. The node simulates the containers.")
	if err := d.setup(ctx); err != nil {
		return err
	}
	for _, w := range workloads {
		if err := d.start(ctx, w); err != nil {
			return err
		}
	}
	for _, w := range workloads {
		if w.symptom != "" && w.badTag == "" {
			continue // it was never well
		}
		counts, err := d.awaitHealthy(ctx, w)
		if err != nil {
			return err
		}
		d.step(w.name, "healthy", green, w.image(w.tag)+", "+counts)
	}
	for _, w := range workloads {
		if w.badTag == "" {
			continue
		}
		if err := d.rollOut(ctx, w); err != nil {
			return err
		}
		d.step(w.name, "new release", bold, w.image(w.badTag))
	}
	for _, w := range workloads {
		if w.symptom == "" {
			continue
		}
		symptoms, err := d.awaitFailing(ctx, w)
		if err != nil {
			return err
		}
		d.step(w.name, "failing", red, symptoms)
	}
	return nil
}

// alertsArrive makes a request of each alert, and waits until people are asked.
func (d *demo) alertsArrive(ctx context.Context) error {
	d.heading("3  Alerts fire; the gateway makes a RemediationRequest of each",
		"Each line after the alerts is an audit entry. One update wrote the entry together with the change that it describes.")
	for _, w := range workloads {
		d.step(w.name, "alert", yellow, w.alert.name+" ("+w.story+")")
	}
	d.say("%s", d.sender.through())
	for _, w := range workloads {
		if err := d.alert(ctx, w, "first"); err != nil {
			return err
		}
	}
	for _, name := range []string{"checkout", "search"} {
		if err := d.awaitPhase(ctx, d.names[name], "AwaitingApproval"); err != nil {
			return err
		}
	}
	if err := d.awaitPhase(ctx, d.names["reports"], "Executing"); err != nil {
		return err
	}
	request := d.names["checkout"]
	d.print("\n")
	return errors.Join(d.kubectl(ctx, "tree", request, "-n", namespace), d.kubectl(ctx, "explain", "rr/"+request, "-n", namespace))
}

// alert lets the alert of a workload fire, and waits until it has made a request, whose name it notes.
func (d *demo) alert(ctx context.Context, w workload, occasion string) error {
	before := map[string]bool{}
	for _, o := range d.requestsOf(w) {
		before[o.GetName()] = true
	}
	if err := d.sender.send(ctx, fire(w, occasion, time.Now())); err != nil {
		return fmt.Errorf("send the alert of %s: %w", w.name, err)
	}
	return d.feed.await(ctx, "the alert of "+w.name+" has made a request", func() (bool, string, error) {
		for _, o := range d.requestsOf(w) {
			if !before[o.GetName()] {
				d.names[w.name] = o.GetName()
				return true, "", nil
			}
		}
		return false, "none, see logs/gateway.log", nil
	})
}

// requestsOf are the requests whose target is a workload.
func (d *demo) requestsOf(w workload) (all []*unstructured.Unstructured) {
	for _, o := range d.feed.all() {
		if o.GetKind() == "RemediationRequest" && text(o, "spec", "target", "name") == w.name {
			all = append(all, o)
		}
	}
	return all
}

// databaseStops shows that controllers go on without the database, and that nothing is lost.
func (d *demo) databaseStops(ctx context.Context) error {
	d.heading("4  PostgreSQL is stopped; work continues", "Entries stay in the status of their resources. Repairs, decisions and notifications continue.")
	if err := d.stopDatabase(ctx); err != nil {
		return err
	}
	begin, before := time.Now(), d.oracle.Appended()
	if err := d.refusedDecision(ctx); err != nil {
		return err
	}
	if err := d.decide(ctx, "search", v1alpha1.VerdictRejected, "more memory has to be budgeted first"); err != nil {
		return err
	}
	for _, name := range []string{"search", "cart"} {
		if err := d.awaitEnd(ctx, find(name)); err != nil {
			return err
		}
	}
	d.say("%d entries were appended in %.1f s without a database", d.oracle.Appended()-before, time.Since(begin).Seconds())
	d.print(d.paint(dim, "\n   PENDING is the number of entries that wait in the resource:\n"))
	if err := d.kubectl(ctx, "list", "rr", "-n", namespace); err != nil {
		return err
	}
	return d.startDatabase(ctx)
}

func (d *demo) stopDatabase(ctx context.Context) error {
	if err := d.stack.Postgres.Stop(ctx); err != nil {
		return err
	}
	d.step("PostgreSQL", "stopped", red, "")
	return nil
}

// startDatabase starts it and waits until every entry of before is a row.
func (d *demo) startDatabase(ctx context.Context) error {
	if err := d.stack.Postgres.Start(ctx); err != nil {
		return err
	}
	d.step("PostgreSQL", "started", green, "")
	begin := time.Now()
	ids := d.oracle.IDs()
	err := poll(ctx, "every entry is a row", 30*time.Second, func(ctx context.Context) (bool, string, error) {
		n, err := d.ledger.missing(ctx, ids)
		return n == 0, fmt.Sprintf("%d of %d entries are missing", n, len(ids)), err
	})
	if err != nil {
		return err
	}
	d.say("%.1f s later all %d entries are rows", time.Since(begin).Seconds(), len(ids))
	return nil
}

// refusedDecision shows that not everybody may decide, nor in somebody else's name.
func (d *demo) refusedDecision(ctx context.Context) error {
	for _, c := range []struct{ decidedBy, why string }{
		{trainee, trainee + " may not approve"},
		{approver, trainee + " may not decide in the name of " + approver},
	} {
		err := d.patchDecision(ctx, "checkout", trainee, v1alpha1.Decision{Verdict: v1alpha1.VerdictApproved, DecidedBy: c.decidedBy, Method: "api"})
		if err == nil {
			return fmt.Errorf("%s could approve a repair as %s, which the policy holdfast-approval must refuse", trainee, c.decidedBy)
		}
		if !refusedByPolicy(err) {
			return fmt.Errorf("approve a repair as %s, who may not: expected that the policy holdfast-approval refuses: %w", trainee, err)
		}
		d.step("checkout", "decision refused", yellow, c.why)
	}
	return nil
}

func (d *demo) decide(ctx context.Context, name string, verdict v1alpha1.Verdict, why string) error {
	err := d.patchDecision(ctx, name, approver, v1alpha1.Decision{Verdict: verdict, DecidedBy: approver, Method: "api", Justification: why})
	if err != nil {
		return fmt.Errorf("decide on %s as %s: %w", name, approver, err)
	}
	return nil
}

// managerIsKilled shows that a repair goes on where it was.
func (d *demo) managerIsKilled(ctx context.Context) error {
	d.heading("5  The manager is killed during repairs", "Each resource records what the manager was about to do, so the next manager neither repeats nor skips a step.")
	if err := d.kubectl(ctx, "approve", text(d.request(d.names["checkout"]), "status", "analysis"), "-n", namespace, "--as", approver, "--yes",
		"--reason", "release 1.0 was healthy, and the new image does not exist"); err != nil {
		return err
	}
	if err := d.awaitFirstStep(ctx, "checkout"); err != nil {
		return err
	}
	if err := d.stack.KillManager(); err != nil {
		return err
	}
	d.step("manager", "killed", red, "SIGKILL during repairs: "+strings.Join(d.underWay(), ", "))
	return d.stack.StartManager(ctx)
}

// underWay are the targets of the workflows that have not ended.
func (d *demo) underWay() []string {
	var targets []string
	for _, o := range d.feed.all() {
		if o.GetKind() == "WorkflowExecution" && !v1alpha1.WorkflowPhase(text(o, "status", "phase")).Final() {
			targets = append(targets, text(o, "spec", "target", "name"))
		}
	}
	slices.Sort(targets)
	return targets
}

// endings waits for the other repairs and looks at what became of the workloads.
func (d *demo) endings(ctx context.Context) error {
	d.heading("6  Results")
	for _, w := range workloads {
		if err := d.awaitEnd(ctx, w); err != nil {
			return err
		}
		d.summary.Remediations = append(d.summary.Remediations, Remediation{Request: d.names[w.name], Target: w.name, Phase: w.ends, Outcome: w.outcome})
	}
	for _, w := range workloads {
		deployment, err := d.deployment(ctx, w)
		if err != nil {
			return err
		}
		if err := w.check(deployment); err != nil {
			return err
		}
		d.step(w.name, w.outcome, bold, "Deployment: "+describeTemplate(deployment))
	}
	return nil
}

var errHeld = errors.New("the request disappeared although its entries were not durable")

// deletionIsHeld deletes a request while the database is away.
func (d *demo) deletionIsHeld(ctx context.Context) error {
	d.heading("7  A deletion waits for its rows", "The alert of search fires again. Its request is deleted while the database is down.")
	if err := d.alert(ctx, find("search"), "again"); err != nil {
		return err
	}
	name := d.names["search"]
	if err := d.awaitPhase(ctx, name, "AwaitingApproval"); err != nil {
		return err
	}
	if err := d.stopDatabase(ctx); err != nil {
		return err
	}
	d.step("search", "delete", bold, "RemediationRequest "+name)
	request := &v1alpha1.RemediationRequest{ObjectMeta: inShop(name)}
	if err := d.admin.Delete(ctx, request, client.PropagationPolicy("Background")); err != nil {
		return fmt.Errorf("delete the request: %w", err)
	}
	if err := d.awaitPhase(ctx, name, "Cancelled"); err != nil {
		return err
	}
	if err := d.watchItStay(ctx, name); err != nil {
		return err
	}
	d.print("\n")
	if err := d.kubectl(ctx, "explain", "rr/"+name, "-n", namespace); err != nil {
		return err
	}
	if err := d.startDatabase(ctx); err != nil {
		return err
	}
	if err := d.awaitGone(ctx, name); err != nil {
		return err
	}
	d.say("the other requests have ended and all their entries are rows, so they can be deleted")
	if err := d.admin.DeleteAllOf(ctx, &v1alpha1.RemediationRequest{}, client.InNamespace(namespace), client.PropagationPolicy("Background")); err != nil {
		return fmt.Errorf("delete the requests: %w", err)
	}
	return d.awaitNothingLeft(ctx)
}
