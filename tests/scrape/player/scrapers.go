// SPDX-License-Identifier: Apache-2.0

// What the two scrapers of the field ask for when nobody configures them, and how patient they are. From Parca's
// pkg/config (DefaultScrapeConfig) and pkg/scrape, and from Grafana Alloy's internal/component/pyroscope/scrape.

package main

import (
	"fmt"
	"net/http"
	"time"
)

type scraper struct {
	name        string
	userAgent   string
	interval    time.Duration
	patience    time.Duration // for an answer that is there at once
	cpuSeconds  int           // asked of /profile
	cpuPatience time.Duration
	onlyOK      bool // takes no other status of the 2xx
	wantsType   bool // looks at Content-Type
}

var scrapers = []scraper{
	{
		name: "parca", userAgent: "conprof/player", interval: 10 * time.Second, patience: 13 * time.Second,
		cpuSeconds: 10, cpuPatience: 13 * time.Second, onlyOK: true,
	},
	{
		name: "alloy", userAgent: "Alloy/player", interval: 15 * time.Second, patience: 10 * time.Second,
		cpuSeconds: 14, cpuPatience: 24 * time.Second, wantsType: true,
	},
}

// The kinds of profiles, with the types that a Go program's have: what a store shows is named after them.
type kind struct {
	name       string
	path       string
	types      []string
	cumulative int // so many of the types, from the first on, only grow: a scraper sends their differences
	isCPU      bool
}

var kinds = []kind{
	{name: "memory", path: "/debug/pprof/allocs", cumulative: 2,
		types: []string{"alloc_objects/count", "alloc_space/bytes", "inuse_objects/count", "inuse_space/bytes"}},
	{name: "block", path: "/debug/pprof/block", cumulative: 2, types: []string{"contentions/count", "delay/nanoseconds"}},
	{name: "goroutine", path: "/debug/pprof/goroutine", types: []string{"goroutine/count"}},
	{name: "mutex", path: "/debug/pprof/mutex", cumulative: 2, types: []string{"contentions/count", "delay/nanoseconds"}},
	{name: "process_cpu", path: "/debug/pprof/profile", isCPU: true, types: []string{"samples/count", "cpu/nanoseconds"}},
}

func (s scraper) request(base string, k kind) (*http.Request, error) {
	url := base + k.path
	if k.isCPU {
		url += fmt.Sprintf("?seconds=%d", s.cpuSeconds)
	}
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err == nil {
		request.Header.Set("User-Agent", s.userAgent)
	}
	return request, err
}

func (s scraper) patienceFor(k kind) time.Duration {
	if k.isCPU {
		return s.cpuPatience
	}
	return s.patience
}
