// SPDX-License-Identifier: Apache-2.0

// compare REFERENCE OURS: sends the same requests to two services, the first of which is Go's own, and prints what
// they answer. The status is 0 when they differ in nothing but what is meant to differ.

package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// answer is what is compared, by the name of the field.
type answer map[string]string

var fields = []string{"status", "type", "disposition", "nosniff", "X-Go-Pprof", "location", "allow", "encoding", "shape"}

var client = &http.Client{
	Timeout:       2 * time.Minute,
	Transport:     &http.Transport{DisableCompression: true}, // or it would ask for gzip by itself
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// Go takes one profile of the processor at a time.
var processor sync.Mutex

func ask(base string, r request) (answer, error) {
	if strings.Contains(r.target, "/profile") {
		processor.Lock()
		defer processor.Unlock()
	}
	outgoing, err := http.NewRequest(r.method, base+r.target, strings.NewReader(r.body))
	if err != nil {
		return nil, err
	}
	response, err := client.Do(outgoing)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	h := response.Header
	return answer{
		"status":      fmt.Sprint(response.StatusCode),
		"type":        h.Get("Content-Type"),
		"disposition": h.Get("Content-Disposition"),
		"nosniff":     h.Get("X-Content-Type-Options"),
		"X-Go-Pprof":  h.Get("X-Go-Pprof"),
		"location":    h.Get("Location"),
		"allow":       h.Get("Allow"),
		"encoding":    h.Get("Content-Encoding"),
		"shape":       shape(r, response, string(body)),
	}, nil
}

func shape(r request, response *http.Response, body string) string {
	isText := strings.HasPrefix(response.Header.Get("Content-Type"), "text/plain")
	switch {
	case body == "":
		return "empty"
	case response.StatusCode != http.StatusOK:
		return fmt.Sprintf("%q", body)
	case strings.Contains(r.target, "/cmdline"):
		return "words"
	case strings.HasPrefix(response.Header.Get("Content-Type"), "text/html"):
		return indexShape(body)
	case isText:
		return textShape(body)
	}
	p, err := parseProfile([]byte(body))
	if err != nil {
		return err.Error()
	}
	return p.head()
}

func (o outcome) reasonFor(field string) (string, bool) {
	for _, each := range intendedDifferences {
		isRight := each.request.MatchString(o.request.String()) && (each.field == "" || each.field == field)
		if isRight && (each.holds == nil || each.holds(o.reference, o.ours)) {
			return each.reason, true
		}
	}
	return "", false
}

type outcome struct {
	request         request
	reference, ours answer
	err             error
}

// compareAll sends a few requests at once, as those with seconds take theirs.
func compareAll(reference, ours string, requests []request) []outcome {
	outcomes := make([]outcome, len(requests))
	var running sync.WaitGroup
	places := make(chan struct{}, 4)
	for i, r := range requests {
		running.Add(1)
		go func(o *outcome, r request) {
			defer running.Done()
			places <- struct{}{}
			defer func() { <-places }()
			o.request = r
			if o.reference, o.err = ask(reference, r); o.err == nil {
				o.ours, o.err = ask(ours, r)
			}
		}(&outcomes[i], r)
	}
	running.Wait()
	return outcomes
}

// report prints one line for what both answer, and two for each field in which they differ; how many were not meant.
func (o outcome) report() (unexplained int) {
	if o.err != nil {
		fmt.Printf("%-52s ERROR %v\n", o.request, o.err)
		return 1
	}
	verdict, details := "same", ""
	for _, field := range fields {
		reference, ours := o.reference[field], o.ours[field]
		if reference == ours {
			continue
		}
		reason, isMeant := o.reasonFor(field)
		if !isMeant {
			unexplained++
			verdict, reason = "DIFFERENT", "not meant"
		} else if verdict == "same" {
			verdict = "meant"
		}
		details += fmt.Sprintf("    %s (%s)\n      Go:   %s\n      ours: %s\n", field, reason, reference, ours)
	}
	fmt.Printf("%-52s %-9s %s | %s | %s | %s | %s | %s\n%s", o.request, verdict, o.ours["status"], o.ours["type"],
		o.ours["disposition"], o.ours["nosniff"], o.ours["X-Go-Pprof"], o.ours["shape"], details)
	return unexplained
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: compare REFERENCE OURS")
		os.Exit(2)
	}
	unexplained := 0
	requests := allRequests()
	fmt.Println("request, verdict, status | content type | disposition | nosniff | X-Go-Pprof | shape")
	for _, o := range compareAll(os.Args[1], os.Args[2], requests) {
		unexplained += o.report()
	}
	fmt.Printf("%d requests, %d differences that were not meant\n", len(requests), unexplained)
	for _, base := range os.Args[1:] {
		if err := checkSymbols(base); err != nil {
			fmt.Printf("symbols of %s: %v\n", base, err)
			unexplained++
		}
	}
	if unexplained > 0 {
		os.Exit(1)
	}
}
