// SPDX-License-Identifier: Apache-2.0

// player [-rounds N] [-keep FOLDER] URL: asks URL for profiles as Parca and Grafana Alloy do by default, both at once,
// each profile in a loop of its own and at its scraper's own interval; says what each of them would have complained of.
// The status is 0 when nothing was wrong and the program was seen to allocate and to have threads.

package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// series is one kind of profile for one scraper.
type series struct {
	scraper  scraper
	kind     kind
	deltas   deltas
	times    []int64
	answers  int
	slowest  time.Duration
	largest  int // bytes before compression
	samples  int // of the last one
	complain complaints
}

func main() {
	rounds := flag.Int("rounds", 2, "profiles of each kind for each scraper (10 and 15 s each)")
	keep := flag.String("keep", "", "folder for the profiles")
	flag.Parse()
	if flag.NArg() != 1 || *rounds < 1 || *rounds > 1000 {
		fmt.Fprintln(os.Stderr, "usage: player [-rounds N] [-keep FOLDER] URL")
		os.Exit(2)
	}
	all := play(strings.TrimSuffix(flag.Arg(0), "/"), *rounds, *keep)
	if !report(all) {
		os.Exit(1)
	}
}

func play(base string, rounds int, keep string) (all []*series) {
	var playing sync.WaitGroup
	for _, s := range scrapers {
		client := &http.Client{} // a pool of connections for each scraper
		for _, k := range kinds {
			one := &series{scraper: s, kind: k}
			all = append(all, one)
			playing.Add(1)
			go func() {
				defer playing.Done()
				one.loop(client, base, rounds, keep)
			}()
		}
	}
	playing.Wait()
	return all
}

func (s *series) loop(client *http.Client, base string, rounds int, keep string) {
	ticker := time.NewTicker(s.scraper.interval)
	defer ticker.Stop()
	for round := 1; ; round++ {
		body := s.scrape(client, base)
		if keep != "" && len(body) > 0 {
			name := fmt.Sprintf("%s.%s.%04d.pb.gz", s.scraper.name, s.kind.name, round)
			if err := os.WriteFile(filepath.Join(keep, name), body, 0o600); err != nil {
				s.complain.add("%v", err)
			}
		}
		if round == rounds {
			return
		}
		<-ticker.C
	}
}

func (s *series) scrape(client *http.Client, base string) []byte {
	answer, err := s.fetch(client, base)
	if err != nil {
		s.complain.add("%v", err)
		return nil
	}
	s.answers++
	if answer.took > s.slowest {
		s.slowest = answer.took
	}
	if wrong := checkAnswer(s.scraper, s.kind, answer); len(wrong) > 0 {
		s.complain = append(s.complain, wrong...)
		return nil
	}
	p, err := parse(answer.body)
	if err != nil {
		s.complain.add("no profile: %v", err)
		return answer.body
	}
	s.complain = append(s.complain, checkProfile(s.kind, p)...)
	s.complain = append(s.complain, s.deltas.next(s.kind, p)...)
	if n := len(s.times); n > 0 && p.timeNanos <= s.times[n-1] {
		s.complain.add("time_nanos did not advance: %d after %d", p.timeNanos, s.times[n-1])
	}
	s.times = append(s.times, p.timeNanos)
	s.samples = len(p.samples)
	if p.size > s.largest {
		s.largest = p.size
	}
	return answer.body
}

func (s *series) fetch(client *http.Client, base string) (answer, error) {
	request, err := s.scraper.request(base, s.kind)
	if err != nil {
		return answer{}, err
	}
	patience, cancel := context.WithTimeout(context.Background(), s.scraper.patienceFor(s.kind))
	defer cancel()
	start := time.Now()
	response, err := client.Do(request.WithContext(patience))
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header.Get("Content-Type"), body, time.Since(start)}, err
}

// report prints a table, then what was wrong.
func report(all []*series) bool {
	fmt.Printf("%-6s %-12s %7s %8s %8s %9s  %s\n", "by", "profile", "answers", "slowest", "samples", "bytes", "grown by")
	isFine := true
	for _, s := range all {
		grown := ""
		for i := 0; i < s.kind.cumulative; i++ {
			grown += fmt.Sprintf("%d %s  ", s.deltas.grown[i], s.kind.types[i])
		}
		fmt.Printf("%-6s %-12s %7d %7.2fs %8d %9d  %s\n", s.scraper.name, s.kind.name, s.answers, s.slowest.Seconds(),
			s.samples, s.largest, grown)
		s.expectLife()
		isFine = isFine && len(s.complain) == 0
	}
	for _, s := range all {
		for _, what := range s.complain {
			fmt.Printf("%s would complain of %s: %s\n", s.scraper.name, s.kind.name, what)
		}
	}
	return isFine
}

// expectLife complains where nothing was seen: then the rules above had nothing to look at.
func (s *series) expectLife() {
	if s.kind.name == "memory" && s.answers > 1 && s.deltas.grown[1] <= 0 {
		s.complain.add("nothing was allocated between the first and the last profile")
	}
	if (s.kind.name == "memory" || s.kind.name == "goroutine") && s.samples == 0 {
		s.complain.add("no samples")
	}
}
