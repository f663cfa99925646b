// SPDX-License-Identifier: Apache-2.0

// What the scrapers, and the stores behind them, refuse. These rules are written anew after theirs, as their modules are
// large or internal: Parca's ValidatePprofProfile, Alloy's validateProfileData, Pyroscope's ValidateProfile with its
// default limits, and what `go tool pprof` needs so that it does not go looking for symbols.

package main

import (
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	mostSamples      = 16000
	mostBytes        = 4 << 20 // before compression
	mostSampleLabels = 100
	mostDepth        = 1000  // deeper stacks are cut
	longestText      = 65535 // longer names are cut
	mostTypes        = 4
)

// complaints collects everything that is wrong with one answer.
type complaints []string

func (c *complaints) add(format string, arguments ...any) {
	const enough = 20
	if len(*c) < enough {
		*c = append(*c, fmt.Sprintf(format, arguments...))
	}
}

type answer struct {
	status      int
	contentType string
	body        []byte
	took        time.Duration
}

func checkAnswer(s scraper, k kind, a answer) (c complaints) {
	if a.status/100 != 2 || (s.onlyOK && a.status != http.StatusOK) {
		c.add("status %d: %.200s", a.status, a.body)
		return c
	}
	if s.wantsType && !strings.HasPrefix(a.contentType, "application/octet-stream") {
		c.add("content type %q", a.contentType)
	}
	if len(a.body) == 0 {
		c.add("empty body")
	}
	if asked := time.Duration(s.cpuSeconds) * time.Second; k.isCPU && a.took < asked {
		c.add("%v were asked for, and the answer came after %v", asked, a.took)
	}
	return c
}

func checkProfile(k kind, p *profile) (c complaints) {
	checkTables(p, &c)
	checkLimits(p, &c)
	checkTypes(k, p, &c)
	for i, s := range p.samples {
		checkSample(p, i, s, &c)
	}
	for _, l := range p.locations {
		checkLocation(p, l, &c)
	}
	if p.timeNanos <= 0 {
		c.add("no time")
	}
	// A store takes a profile with a duration for a difference.
	if k.isCPU != (p.duration > 0) {
		c.add("duration_nanos is %d", p.duration)
	}
	return c
}

func checkTables(p *profile, c *complaints) {
	if first, ok := p.text(0); !ok || first != "" {
		c.add("string 0 is %q, or missing", first)
	}
	for i, text := range p.strings {
		if !utf8.ValidString(text) {
			c.add("string %d is not UTF-8: %q", i, text)
		}
	}
	for i, m := range p.mappings {
		if m.id != uint64(i)+1 {
			c.add("mapping %d has id %d", i, m.id)
		}
		p.checkTexts(c, "mapping", m.id, m.filename, m.buildID)
	}
	for i, f := range p.functions {
		if f.id != uint64(i)+1 {
			c.add("function %d has id %d", i, f.id)
		}
		p.checkTexts(c, "function", f.id, f.name, f.systemName, f.filename)
		if name, _ := p.text(f.name); name == "" {
			c.add("function %d has no name", f.id)
		}
	}
	for i, l := range p.locations {
		if l.id != uint64(i)+1 {
			c.add("location %d has id %d", i, l.id)
		}
	}
}

func (p *profile) checkTexts(c *complaints, what string, id uint64, indexes ...int64) {
	for _, index := range indexes {
		if _, ok := p.text(index); !ok {
			c.add("%s %d has a string index %d of %d", what, id, index, len(p.strings))
		}
	}
}

func checkLimits(p *profile, c *complaints) {
	if len(p.samples) > mostSamples {
		c.add("%d samples", len(p.samples))
	}
	if p.size > mostBytes {
		c.add("%d bytes before compression", p.size)
	}
	for i, text := range p.strings {
		if len(text) > longestText {
			c.add("string %d has %d bytes", i, len(text))
		}
	}
}

func checkTypes(k kind, p *profile, c *complaints) {
	if len(p.types) > mostTypes {
		c.add("%d sample types", len(p.types))
	}
	var got []string
	for _, t := range p.types {
		got = append(got, p.typeText(t))
	}
	if strings.Join(got, " ") != strings.Join(k.types, " ") {
		c.add("sample types are %q, not %q", got, k.types)
	}
	if p.typeText(p.periodType) == "/" || p.period <= 0 {
		c.add("period is %d %q", p.period, p.typeText(p.periodType))
	}
}

func (p *profile) typeText(t valueType) string {
	name, _ := p.text(t.name)
	unit, _ := p.text(t.unit)
	return name + "/" + unit
}

func checkSample(p *profile, i int, s sample, c *complaints) {
	if len(s.values) != len(p.types) {
		c.add("sample %d has %d values for %d types", i, len(s.values), len(p.types))
	}
	if len(s.locations) > mostDepth {
		c.add("sample %d has %d locations", i, len(s.locations))
	}
	for _, id := range s.locations {
		if id == 0 || id > uint64(len(p.locations)) {
			c.add("sample %d has location %d of %d", i, id, len(p.locations))
		}
	}
	if len(s.labels) > mostSampleLabels {
		c.add("sample %d has %d labels", i, len(s.labels))
	}
	for _, l := range s.labels {
		if l.key == 0 {
			c.add("sample %d has a label without key", i)
		}
		p.checkTexts(c, "label of sample", uint64(i), l.key, l.text, l.unit)
	}
}

func checkLocation(p *profile, l location, c *complaints) {
	if len(l.lines) == 0 {
		c.add("location %d has no line", l.id)
	}
	for _, line := range l.lines {
		if line.function == 0 || line.function > uint64(len(p.functions)) {
			c.add("location %d has function %d of %d", l.id, line.function, len(p.functions))
		}
	}
	if l.mapping > uint64(len(p.mappings)) {
		c.add("location %d has mapping %d of %d", l.id, l.mapping, len(p.mappings))
	} else if l.mapping > 0 && !p.mappings[l.mapping-1].hasFunctions {
		c.add("location %d is in mapping %d, which says that it has no functions", l.id, l.mapping)
	}
}
