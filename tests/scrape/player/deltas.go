// SPDX-License-Identifier: Apache-2.0

// The differences that Alloy sends instead of cumulative values. As there, two samples are the same when the addresses
// of their stacks and their labels are; equal ones of one profile are added up; and what was once seen is kept.

package main

import "fmt"

type sums [mostTypes]int64

type deltas struct {
	last  map[string]sums
	total sums
	grown sums // over the whole time
	any   bool
}

// next takes the next profile of a series. It complains of cumulative values that fell.
func (d *deltas) next(k kind, p *profile) (c complaints) {
	now := make(map[string]sums)
	var total sums
	for _, s := range p.samples {
		key := p.key(s)
		sum := now[key]
		for i := 0; i < k.cumulative && i < len(s.values); i++ {
			sum[i] += s.values[i]
			total[i] += s.values[i]
		}
		now[key] = sum
	}
	if d.last == nil {
		d.last = make(map[string]sums)
	}
	for key, sum := range now {
		for i := 0; i < k.cumulative; i++ {
			if before := d.last[key][i]; sum[i] < before {
				c.add("%s fell from %d to %d at %s", k.types[i], before, sum[i], key)
			}
		}
		d.last[key] = sum
	}
	for i := 0; i < k.cumulative && d.any; i++ {
		if total[i] < d.total[i] {
			c.add("%s fell from %d to %d in all", k.types[i], d.total[i], total[i])
		}
		d.grown[i] += total[i] - d.total[i]
	}
	d.total, d.any = total, true
	return c
}

func (p *profile) key(s sample) string {
	addresses := make([]uint64, 0, len(s.locations))
	for _, id := range s.locations {
		if id > 0 && id <= uint64(len(p.locations)) {
			addresses = append(addresses, p.locations[id-1].address)
		}
	}
	key := fmt.Sprintf("%x", addresses)
	for _, l := range s.labels {
		name, _ := p.text(l.key)
		text, _ := p.text(l.text)
		key += fmt.Sprintf(" %s=%s%d", name, text, l.number)
	}
	return key
}
