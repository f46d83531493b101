package main

import (
	"context"
	"fmt"
)

// overhead compares an audited controller with a plain one that writes as many bytes, and with one that has no history at all.
func overhead(ctx context.Context, b *bench) error {
	for _, c := range []struct{ writers, resources, rounds int }{{16, 300, 5}, {1, 60, 5}, {64, 300, 3}} {
		for _, life := range []bool{false, true} {
			t := trial{resources: b.size(c.resources), changes: 10, writers: c.writers, life: life}
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

// compare takes the arms in turns, each round in another order. A first, audited trial warms up and says how many bytes the others are to write.
func compare(ctx context.Context, b *bench, t trial, rounds int) error {
	t.arm = audited
	warm, err := b.run(ctx, t)
	if err != nil {
		return err
	}
	t.arm = bare
	small, err := b.run(ctx, t)
	if err != nil {
		return err
	}
	filled, err := fill(int(warm.bytes - small.bytes))
	if err != nil {
		return err
	}
	rates := map[arm]sample{}
	var bytes [audited + 1]sample
	for round := range rounds {
		for i := range arm(3) {
			t.arm = (i + arm(round)) % 3
			t.filling = filling{}
			if t.arm == plain {
				t.filling = filled
			}
			o, err := b.run(ctx, t)
			if err != nil {
				return err
			}
			rates[t.arm], bytes[t.arm] = append(rates[t.arm], o.perSecond), append(bytes[t.arm], o.bytes)
		}
	}
	what, target := "steady", [2]string{}
	if t.life {
		what = "whole life"
	}
	if t.writers == 16 {
		target = [2]string{">= 0.95", ">= 0.80"}
		if t.life {
			target = [2]string{">= 0.75", ""}
		}
	}
	name := fmt.Sprintf("%s, %d writers: ", what, t.writers)
	b.report.add("overhead", name+"audited ÷ plain of the same bytes", "", target[0], rates[audited].over(rates[plain])...)
	b.report.add("overhead", name+"audited ÷ without outbox", "", target[1], rates[audited].over(rates[bare])...)
	b.report.add("overhead", name+audited.String(), "changes/s", "", rates[audited]...)
	b.report.add("overhead", name+plain.String(), "changes/s", "", rates[plain]...)
	b.report.add("overhead", name+bare.String(), "changes/s", "", rates[bare]...)
	for _, of := range []arm{audited, plain, bare} {
		b.report.add("overhead", name+"body of a status write, "+of.String(), "bytes", "", bytes[of]...)
	}
	return nil
}
