// SPDX-License-Identifier: Apache-2.0

// Each rule must complain of its fault, and of nothing in a good profile: a checker that is always content proves
// nothing.

package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
	"testing"
	"time"
)

func goodMemory() *profile {
	return &profile{
		types:      []valueType{{1, 2}, {3, 4}, {5, 2}, {6, 4}},
		samples:    []sample{{locations: []uint64{1, 2}, values: []int64{3, 300, 1, 100}, labels: []label{{key: 4, number: 64}}}},
		mappings:   []mapping{{id: 1, filename: 9, hasFunctions: true}},
		locations:  []location{{id: 1, mapping: 1, address: 0x10, lines: []line{{1}, {2}}}, {id: 2, mapping: 1, address: 0x20, lines: []line{{2}}}},
		functions:  []function{{id: 1, name: 10}, {id: 2, name: 11}},
		strings:    []string{"", "alloc_objects", "count", "alloc_space", "bytes", "inuse_objects", "inuse_space", "space", "", "app", "f", "main"},
		timeNanos:  1,
		periodType: valueType{7, 4},
		period:     512 << 10,
		size:       1000,
	}
}

var memory = kinds[0]
var cpu = kinds[4]

func expect(t *testing.T, what string, got complaints, wanted string) {
	t.Helper()
	text := strings.Join(got, "\n")
	if wanted == "" && text != "" || wanted != "" && !strings.Contains(text, wanted) {
		t.Errorf("%s: complaints are %q, wanted %q", what, text, wanted)
	}
}

func TestProfileRules(t *testing.T) {
	expect(t, "good", checkProfile(memory, goodMemory()), "")
	for name, test := range map[string]struct {
		spoil  func(*profile)
		wanted string
	}{
		"first string":         {func(p *profile) { p.strings[0] = "x" }, `string 0 is "x"`},
		"no strings":           {func(p *profile) { p.strings = nil }, "string 0"},
		"not UTF-8":            {func(p *profile) { p.strings[10] = "f\xff" }, "not UTF-8"},
		"long string":          {func(p *profile) { p.strings[10] = strings.Repeat("f", 70000) }, "70000 bytes"},
		"mapping id":           {func(p *profile) { p.mappings[0].id = 7 }, "mapping 0 has id 7"},
		"mapping file":         {func(p *profile) { p.mappings[0].filename = 12 }, "string index 12 of 12"},
		"function id":          {func(p *profile) { p.functions[1].id = 1 }, "function 1 has id 1"},
		"function name":        {func(p *profile) { p.functions[1].name = -1 }, "string index -1"},
		"nameless function":    {func(p *profile) { p.functions[1].name = 8 }, "function 2 has no name"},
		"location id":          {func(p *profile) { p.locations[0].id = 0 }, "location 0 has id 0"},
		"location no line":     {func(p *profile) { p.locations[0].lines = nil }, "location 1 has no line"},
		"location function":    {func(p *profile) { p.locations[0].lines[0].function = 3 }, "function 3 of 2"},
		"location mapping":     {func(p *profile) { p.locations[0].mapping = 2 }, "mapping 2 of 1"},
		"functions not marked": {func(p *profile) { p.mappings[0].hasFunctions = false }, "says that it has no functions"},
		"too many samples":     {func(p *profile) { p.samples = make([]sample, 16001) }, "16001 samples"},
		"too many bytes":       {func(p *profile) { p.size = 4<<20 + 1 }, "4194305 bytes"},
		"fifth type":           {func(p *profile) { p.types = append(p.types, valueType{1, 2}) }, "5 sample types"},
		"other type":           {func(p *profile) { p.types[0].name = 3 }, "sample types are"},
		"no period type":       {func(p *profile) { p.periodType = valueType{} }, "period is"},
		"no period":            {func(p *profile) { p.period = 0 }, "period is 0"},
		"value missing":        {func(p *profile) { p.samples[0].values = []int64{1} }, "1 values for 4 types"},
		"no such location":     {func(p *profile) { p.samples[0].locations[1] = 3 }, "location 3 of 2"},
		"location 0":           {func(p *profile) { p.samples[0].locations[1] = 0 }, "location 0 of 2"},
		"too deep":             {func(p *profile) { p.samples[0].locations = make([]uint64, 1001) }, "1001 locations"},
		"label without key":    {func(p *profile) { p.samples[0].labels[0].key = 0 }, "label without key"},
		"label text":           {func(p *profile) { p.samples[0].labels[0].text = 99 }, "string index 99"},
		"too many labels":      {func(p *profile) { p.samples[0].labels = make([]label, 101) }, "101 labels"},
		"no time":              {func(p *profile) { p.timeNanos = 0 }, "no time"},
		"duration":             {func(p *profile) { p.duration = 1 }, "duration_nanos is 1"},
	} {
		p := goodMemory()
		test.spoil(p)
		expect(t, name, checkProfile(memory, p), test.wanted)
	}
}

func TestAnswerRules(t *testing.T) {
	parca, alloy := scrapers[0], scrapers[1]
	good := answer{200, "application/octet-stream", []byte{1}, time.Second}
	expect(t, "good for parca", checkAnswer(parca, memory, good), "")
	expect(t, "good for alloy", checkAnswer(alloy, memory, good), "")
	expect(t, "an error", checkAnswer(alloy, memory, answer{500, "text/plain", []byte("why"), 0}), "status 500: why")
	expect(t, "another 2xx for parca", checkAnswer(parca, memory, answer{203, good.contentType, good.body, 0}), "status 203")
	expect(t, "another 2xx for alloy", checkAnswer(alloy, memory, answer{203, good.contentType, good.body, 0}), "")
	expect(t, "text", checkAnswer(alloy, memory, answer{200, "text/plain", good.body, 0}), "content type")
	expect(t, "no body", checkAnswer(parca, memory, answer{200, good.contentType, nil, 0}), "empty body")
	expect(t, "too early", checkAnswer(parca, cpu, good), "10s were asked for")
	expect(t, "in time", checkAnswer(parca, cpu, answer{200, "", good.body, 10 * time.Second}), "")
}

func TestDeltas(t *testing.T) {
	var d deltas
	p := goodMemory()
	expect(t, "first", d.next(memory, p), "")
	p.samples[0].values = []int64{4, 400, 0, 0} // what is in use may fall
	expect(t, "growth", d.next(memory, p), "")
	if d.grown[0] != 1 || d.grown[1] != 100 {
		t.Errorf("grown by %v", d.grown)
	}
	p.samples[0].values[1] = 399
	expect(t, "fall", d.next(memory, p), "alloc_space/bytes fell from 400 to 399")

	d = deltas{}
	d.next(memory, goodMemory())
	p = goodMemory()
	p.samples[0].labels[0].number = 128
	p.samples[0].values[1] = 299
	wrong := d.next(memory, p)
	expect(t, "total", wrong, "alloc_space/bytes fell from 300 to 299 in all")
	if len(wrong) != 1 {
		t.Errorf("another label is another sample: %q", wrong)
	}

	d = deltas{}
	d.next(memory, goodMemory())
	p = goodMemory()
	half := sample{locations: []uint64{1, 2}, values: []int64{2, 150, 0, 0}, labels: []label{{key: 4, number: 64}}}
	p.samples = []sample{half, half}
	expect(t, "equal samples add up", d.next(memory, p), "")
}

func TestParse(t *testing.T) {
	// By hand: a type; a sample with packed locations, a value that is not packed, and a label; two strings; the time.
	message := []byte{0x0a, 4, 0x08, 1, 0x10, 2, 0x12, 9, 0x0a, 3, 1, 0x80, 1, 0x10, 7, 0x1a, 0, 0x32, 0, 0x32, 1, 'n', 0x48, 5}
	var compressed bytes.Buffer
	writer := gzip.NewWriter(&compressed)
	writer.Write(message)
	writer.Close()
	for _, body := range [][]byte{message, compressed.Bytes()} {
		p, err := parse(body)
		if err != nil {
			t.Fatal(err)
		}
		if p.types[0] != (valueType{1, 2}) || len(p.strings) != 2 || p.strings[1] != "n" || p.timeNanos != 5 ||
			p.size != len(message) {
			t.Errorf("parsed %+v", p)
		}
		s := p.samples[0]
		if len(s.locations) != 2 || s.locations[1] != 128 || len(s.values) != 1 || s.values[0] != 7 || len(s.labels) != 1 {
			t.Errorf("sample %+v", s)
		}
	}
	// Only between two fields can it be cut unseen.
	for cut := 1; cut < len(message); cut++ {
		if _, err := parse(message[:cut]); err == nil && !strings.Contains(" 6 17 19 22 ", fmt.Sprintf(" %d ", cut)) {
			t.Errorf("%d bytes of %d are taken for whole", cut, len(message))
		}
	}
	if _, err := parse([]byte("<html>an error page</html>")); err == nil {
		t.Error("text is taken for a profile")
	}
	if _, err := parse(compressed.Bytes()[:compressed.Len()-6]); err == nil {
		t.Error("a cut gzip stream is taken for whole")
	}
}
