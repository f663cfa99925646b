// SPDX-License-Identifier: Apache-2.0

// What is asked of both, and where they are meant to differ.

package main

import (
	"regexp"
	"strings"
)

type request struct{ method, target, body string }

func (r request) String() string { return r.method + " " + r.target }

var profileNames = []string{"allocs", "block", "goroutine", "heap", "mutex", "threadcreate"}

var queries = []string{
	"", "?debug=0", "?debug=1", "?debug=2", "?debug=x", "?debug=+1", "?debug=1&debug=0", "?gc=1", "?gc=1&debug=1",
	"?seconds=1", "?seconds=", "?seconds=0", "?seconds=-1", "?seconds=x", "?seconds=1.5", "?seconds=%31",
	"?seconds=1&debug=1", "?seconds=x&debug=1", "?seconds=1&debug=0", "?seconds=9223372036854775808",
}

var others = []request{
	{"GET", "/debug/pprof", ""},
	{"GET", "/debug/pprof?debug=1", ""},
	{"GET", "/debug/pprof/", ""},
	{"GET", "/debug/pprof/?debug=1", ""},
	{"HEAD", "/debug/pprof/", ""},
	{"GET", "/debug/pprof//heap", ""},
	{"GET", "//debug/pprof/heap?debug=1&gc=1", ""},
	{"HEAD", "/debug//pprof/heap", ""},
	{"GET", "/debug/./pprof/../pprof/./heap", ""},
	{"GET", "/../../debug/pprof/", ""},
	{"GET", "/debug/pprof//", ""},
	{"GET", "/debug/pprof//%68eap", ""},
	{"GET", "/debug/pprof/heap/", ""},
	{"GET", "/debug/pprof/Heap", ""},
	{"GET", "/debug/pprof/%68eap", ""},
	{"GET", "/debug/pprof/nothing", ""},
	{"GET", "/debug/pprof/nothing?seconds=x", ""},
	{"GET", "/debug/pprof/nothing?debug=1", ""},
	{"HEAD", "/debug/pprof/nothing", ""},
	{"HEAD", "/debug/pprof/heap", ""},
	{"HEAD", "/debug/pprof/heap?debug=1", ""},
	{"HEAD", "/debug/pprof/heap?seconds=x", ""},
	{"POST", "/debug/pprof/heap", ""},
	{"POST", "/debug/pprof/nothing", ""},
	{"DELETE", "/debug/pprof/heap", ""},
	{"OPTIONS", "/debug/pprof/", ""},
	{"GET", "/debug/pprof/cmdline", ""},
	{"GET", "/debug/pprof/cmdline?debug=1", ""},
	{"GET", "/debug/pprof/cmdline/", ""},
	{"POST", "/debug/pprof/cmdline", ""},
	{"GET", "/debug/pprof/profile?seconds=1", ""},
	{"GET", "/debug/pprof/profile?seconds=1&debug=1", ""},
	{"HEAD", "/debug/pprof/profile?seconds=1", ""},
	{"GET", "/debug/pprof/symbol", ""},
	{"GET", "/debug/pprof/symbol?0x1000+abc+0x", ""},
	{"GET", "/debug/pprof/symbol?debug=1", ""},
	{"HEAD", "/debug/pprof/symbol", ""},
	{"POST", "/debug/pprof/symbol", "0x1000+0x2000"},
	{"GET", "/debug/pprof/threads", ""},
	{"GET", "/debug/pprof/trace?seconds=1", ""},
}

func allRequests() (all []request) {
	for _, name := range profileNames {
		for _, query := range queries {
			all = append(all, request{"GET", "/debug/pprof/" + name + query, ""})
		}
	}
	return append(all, others...)
}

// intended is a difference that is meant: where, in what, and why.
type intended struct {
	request *regexp.Regexp
	field   string // empty: anything
	reason  string
	holds   func(reference, ours answer) bool // nil: always
}

func meant(request, field, reason string, holds func(reference, ours answer) bool) intended {
	return intended{regexp.MustCompile(request), field, reason, holds}
}

// addsOnly: the shape of ours has what Go's has, in its order, and these words besides, which Go's may have too.
func addsOnly(more ...string) func(reference, ours answer) bool {
	without := func(shape string) string {
		var left []string
		for _, word := range strings.Fields(shape) {
			isMore := false
			for _, each := range more {
				isMore = isMore || word == each
			}
			if !isMore {
				left = append(left, word)
			}
		}
		return strings.Join(left, " ")
	}
	return func(reference, ours answer) bool { return without(ours["shape"]) == without(reference["shape"]) }
}

func readsOnly(reference, ours answer) bool {
	return reference["status"] != "405" && ours["status"] == "405"
}

func redirects(reference, ours answer) bool {
	return (reference["status"] == "301" || reference["status"] == "307") && ours["status"] == "301"
}

var intendedDifferences = []intended{
	meant(`^GET /debug/pprof/(heap|allocs)\?.*debug=[12]`, "shape", "the mappings, to look symbols up elsewhere",
		addsOnly("maps-head", "map")),
	meant(`^GET /debug/pprof/goroutine\?.*debug=1`, "shape", "every thread has a name", addsOnly("labels-of-others")),
	meant(`^GET /debug/pprof/goroutine\?.*debug=2`, "shape", "the threads' names, below the last of them",
		addsOnly("comment")),
	meant(`^GET /debug/pprof/allocs\?seconds=`, "shape", "a difference too shows allocations first", func(reference, ours answer) bool {
		return strings.Replace(ours["shape"], "; first alloc_space", "", 1) == reference["shape"]
	}),
	meant(`^GET /debug/pprof/(\?|$)`, "shape", "threads are goroutines, and there is no trace",
		addsOnly("threads?debug=1", "trace?debug=1", "symbol?debug=1")), // which old Go does not name
	meant(`^GET /debug/pprof/threadcreate\?.*debug=[12]`, "shape", "old Go has no stacks", func(reference, ours answer) bool {
		return strings.Contains(reference["shape"], "row-without-stack")
	}),
	meant(``, "status", "Go has 307 since 1.26, 301 before", redirects),
	meant(``, "shape", "the text of a redirection", redirects),
	meant(``, "nosniff", "it is everywhere", redirects),
	meant(`^GET /debug/pprof//%68eap$`, "location", "old Go resolves what is escaped; new Go escapes it again, and sends to a path that is not there",
		func(reference, ours answer) bool {
			known := reference["location"] == "/debug/pprof/%2568eap" || reference["location"] == "/debug/pprof/heap"
			return known && ours["location"] == "/debug/pprof/%68eap"
		}),
	meant(`^GET /debug/pprof/threads$`, "", "another name of goroutine", nil),
	meant(`^GET /debug/pprof/trace`, "", "native programs have no execution trace", nil),
	meant(`^POST /debug/pprof/symbol$`, "", "go tool pprof sends it, but Go refuses it since 1.22", func(reference, ours answer) bool {
		return reference["status"] == "405" && ours["status"] == "200"
	}),
	meant(`^(POST|DELETE|OPTIONS) `, "", "before 1.22 Go takes any method", readsOnly),
	meant(`^(DELETE|OPTIONS) `, "allow", "what the server takes at all", nil),
	meant(`^(DELETE|OPTIONS) `, "shape", "the words are the server's", nil),
}
