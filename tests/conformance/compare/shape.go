// SPDX-License-Identifier: Apache-2.0

// The shape of an answer: what two services that do different work have in common. Of a text that is the kinds of its
// lines. The patterns are as strict as the parsers in the field: pprof's of the legacy forms, and those of Go's traces.

package main

import (
	"regexp"
	"strings"
)

type lineKind struct {
	name    string
	pattern *regexp.Regexp
}

func kind(name, pattern string) lineKind {
	return lineKind{name, regexp.MustCompile("^" + pattern + "$")}
}

// The first that matches counts.
var lineKinds = []lineKind{
	kind("blank", ``),
	kind("heap-head", `heap profile: \d+: \d+ \[\d+: \d+\] @ heap/1048576`),
	kind("heap-row", `\d+: \d+ \[\d+: \d+\] @( 0x[0-9a-f]+)+`),
	kind("goroutine-head", `goroutine profile: total [1-9]\d*`),
	kind("threadcreate-head", `threadcreate profile: total [1-9]\d*`),
	kind("count-row", `\d+ @( 0x[0-9a-f]+)+`),
	kind("row-without-stack", `\d+ @`),
	kind("labels", `# labels: \{("[^"]*":"[^"]*", )*"thread_name":"worker-\*"(, "[^"]*":"[^"]*")*\}`),
	kind("labels-of-others", `# labels: \{"[^"]*":"[^"]*"(, "[^"]*":"[^"]*")*\}`),
	kind("symbol", `#\t0x[0-9a-f]+(\t+[^\t]+(\t+[^\t]+:\d+)?)?`),
	kind("comment", `#.*`),
	kind("block-head", `--- contention:`),
	kind("mutex-head", `--- mutex:`),
	kind("cycles", `cycles/second=\d+`),
	kind("period", `sampling period=0`),
	kind("maps-head", `MAPPED_LIBRARIES:`),
	kind("map", `[0-9a-f]+-[0-9a-f]+ r-xp [0-9a-f]{8,} [0-9a-f]{2}:[0-9a-f]{2} \d+ \S.*`),
	kind("goroutine", `goroutine \d+ \[[^],]+(, \d+ minutes)?(, locked to thread)?\]:`),
	kind("created-by", `created by \S.*`),
	kind("elided", `\.\.\.(additional|\d+) frames elided\.\.\.`),
	kind("source", `\t[^\t:]+:\d+( \+0x[0-9a-f]+)?`),
	kind("symbols-head", `num_symbols: 1`),
	kind("name", `0x[0-9a-f]+ \S.*`),
	kind("call", `\S.*\([^()]*\)`),
}

func kindOf(line string) string {
	for _, k := range lineKinds {
		if k.pattern.MatchString(line) {
			return k.name
		}
	}
	return "other: " + line
}

// A trace has a source below each call and each creator, and nothing between them: parsers insist.
func followsRightly(before, line string) bool {
	isCall := before == "call" || before == "created-by"
	return isCall == (line == "source") && (before != "goroutine" || line == "call")
}

// textShape names the kinds of lines, each once, in the order in which they first come up.
func textShape(text string) string {
	var kinds []string
	seen := map[string]bool{}
	isTrace := strings.HasPrefix(text, "goroutine ") && !strings.HasPrefix(text, "goroutine profile")
	before := ""
	for _, line := range strings.Split(text, "\n") {
		k := kindOf(line)
		if isTrace && !followsRightly(before, k) {
			k = "out of place: " + line
		}
		before = k
		if k != "blank" && !seen[k] {
			seen[k] = true
			kinds = append(kinds, k)
		}
	}
	return strings.Join(kinds, " ")
}

var indexRow = regexp.MustCompile(`<tr><td>\d+</td><td><a href='([a-z]+\?debug=1)'>[a-z]+</a></td></tr>`)

// The links of the index, in their order.
func indexShape(page string) string {
	var links []string
	for _, row := range indexRow.FindAllStringSubmatch(page, -1) {
		links = append(links, row[1])
	}
	if strings.Contains(page, `href="goroutine?debug=2"`) {
		links = append(links, "goroutine?debug=2")
	}
	return strings.Join(links, " ")
}
