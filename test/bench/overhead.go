package main

import (
	"context"
	"fmt"
)

// overhead compares an audited controller with a plain one that writes as many bytes, and with one that has no history at all. What the targets are for comes first.
func overhead(ctx context.Context, b *bench) error {
	filled, err := b.fill(ctx)
	if err != nil {
		return err
	}
	if err := b.slope(ctx); err != nil {
		return err
	}
	for _, c := range []struct{ writers, resources, rounds int }{{16, 300, 5}, {1, 30, 2}, {64, 150, 2}} {
		for _, life := range []bool{false, true} {
			t := trial{resources: b.size(c.resources), changes: 10, writers: c.writers, life: life, filling: filled}
			if life {
				t.changes++ // the one that closes the record
			}
			if err := compare(ctx, b, t, b.rounds(c.rounds)); err != nil {
				return err
			}
		}
	}
	return nil
}

// fill warms up, and works out what a plain status is filled with: as many bytes as an audited one has more than a bare one.
func (b *bench) fill(ctx context.Context) (filling, error) {
	t := trial{resources: b.size(300), changes: 10, writers: 16, arm: audited}
	large, err := b.run(ctx, t)
	if err != nil {
		return filling{}, err
	}
	t.arm = bare
	small, err := b.run(ctx, t)
	if err != nil {
		return filling{}, err
	}
	return fill(int(large.bytes - small.bytes))
}

// compare takes the arms in turns, each round in another order. No target compares whole lives with a status without an outbox.
func compare(ctx context.Context, b *bench, t trial, rounds int) error {
	var outcomes [audited + 1][]outcome
	arms := []arm{plain, audited, text, bare}
	if t.life {
		arms = arms[:2]
	}
	for round := range rounds {
		for i := range arms {
			t.arm = arms[(i+round)%len(arms)]
			o, err := b.run(ctx, t)
			if err != nil {
				return err
			}
			outcomes[t.arm] = append(outcomes[t.arm], o)
		}
	}
	reportOverhead(b, t, outcomes)
	return nil
}

// least is the CPU of an audited change, round by round, of which the API server takes what it takes, and all else what the control takes. No relay can be better than that: the rest is the price of a
// status with fields and a rule.
func least(audited, control []outcome) (s sample) {
	for i := range min(len(audited), len(control)) {
		u := control[i].cpu
		u.apiServer, u.etcd = audited[i].cpu.apiServer, audited[i].cpu.etcd
		s = append(s, u.total())
	}
	return s
}

func reportOverhead(b *bench, t trial, outcomes [audited + 1][]outcome) {
	of := func(a arm, what func(outcome) float64) (s sample) {
		for _, o := range outcomes[a] {
			s = append(s, what(o))
		}
		return s
	}
	rate := func(o outcome) float64 { return o.perSecond }
	cpu := func(o outcome) float64 { return o.cpu.total() }
	objects := func(o outcome) float64 { return o.objects }
	name, toPlain, toText, toBare, toObjects := fmt.Sprintf("steady, %d writers: ", t.writers), "", "", "", ""
	if t.life {
		name = fmt.Sprintf("whole life, %d writers: ", t.writers)
	}
	switch {
	case t.writers == 16 && t.life:
		toPlain = ">= 0.75"
	case t.writers == 16:
		toPlain, toText, toBare, toObjects = ">= 0.95", ">= 0.80", ">= 0.70", ">= 0.72"
	}
	b.report.add("overhead", name+"audited ÷ plain of the same bytes and shape", "", toPlain, of(audited, rate).over(of(plain, rate))...)
	b.report.add("overhead", name+"the same, by CPU: plain ÷ audited", "", "", of(plain, cpu).over(of(audited, cpu))...)
	b.report.add("overhead", name+"the same, by objects that the API server allocates: plain ÷ audited", "", "", of(plain, objects).over(of(audited, objects))...)
	arms := []arm{audited, plain}
	if !t.life {
		arms = append(arms, text, bare)
		b.report.add("overhead", name+"audited ÷ plain of the same bytes in one text", "", toText, of(audited, rate).over(of(text, rate))...)
		b.report.add("overhead", name+"audited ÷ without outbox", "", toBare, of(audited, rate).over(of(bare, rate))...)
		b.report.add("overhead", name+"the same, by objects that the API server allocates: without outbox ÷ audited", "", toObjects, of(bare, objects).over(of(audited, objects))...)
		b.report.add("overhead", name+"the same, by CPU: without outbox ÷ audited", "", "", of(bare, cpu).over(of(audited, cpu))...)
		for _, a := range []arm{text, bare} {
			b.report.add("overhead", name+a.String()+" ÷ audited, by CPU, if history, relay and PostgreSQL cost nothing", "", "", of(a, cpu).over(least(outcomes[audited], outcomes[a]))...)
		}
	}
	for _, a := range arms {
		b.report.add("overhead", name+a.String(), "changes/s", "", of(a, rate)...)
	}
	if t.writers != 16 {
		return
	}
	for _, a := range arms {
		who := name + a.String() + ": "
		b.report.add("overhead", who+"body of a status write", "bytes", "", of(a, func(o outcome) float64 { return o.bytes })...)
		b.report.add("overhead", who+"writes to the API server", "a change", "", of(a, func(o outcome) float64 { return o.writes })...)
		target := ""
		if a == audited && !t.life {
			target = "<= 5650"
		}
		b.report.add("overhead", who+"objects that the API server allocates", "a change", target, of(a, objects)...)
		b.report.add("overhead", who+"CPU of API server and etcd", "ms a change", "", of(a, func(o outcome) float64 { return o.cpu.apiServer + o.cpu.etcd })...)
		b.report.add("overhead", who+"CPU of controller, informer and relay", "ms a change", "", of(a, func(o outcome) float64 { return o.cpu.self })...)
		b.report.add("overhead", who+"CPU of PostgreSQL", "ms a change", "", of(a, func(o outcome) float64 { return o.cpu.postgres })...)
	}
}
