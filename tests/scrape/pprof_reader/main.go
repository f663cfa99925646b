// SPDX-License-Identifier: Apache-2.0

// pprof-reader FOLDER: reads the profiles that the player kept (SCRAPER.KIND.NUMBER.pb.gz) with the library that Parca,
// Grafana Alloy and `go tool pprof` read them with, does to them what these do, and subtracts each from the next.

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/google/pprof/profile"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: pprof-reader FOLDER")
		os.Exit(2)
	}
	files, _ := filepath.Glob(filepath.Join(os.Args[1], "*.pb.gz"))
	sort.Strings(files)
	last := make(map[string]*profile.Profile) // by series
	pairs := 0
	for _, file := range files {
		p, err := read(file)
		fail(file, err)
		series := strings.Join(strings.Split(filepath.Base(file), ".")[:2], ".")
		if before := last[series]; before != nil {
			fail(file, subtract(before, p))
			pairs++
		}
		last[series] = p
	}
	fmt.Printf("%d profiles were read, %d subtracted\n", len(files), pairs)
	if pairs == 0 {
		os.Exit(1)
	}
}

func fail(file string, err error) {
	if err != nil {
		fmt.Printf("%s: %v\n", file, err)
		os.Exit(1)
	}
}

// read parses, and writes and parses again, scaled and compacted, as scrapers with such settings do.
func read(file string) (*profile.Profile, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	p, err := profile.ParseData(data)
	if err != nil {
		return nil, err
	}
	if err := p.CheckValid(); err != nil {
		return nil, err
	}
	if p.HasFunctions() == false && len(p.Location) > 0 {
		return nil, fmt.Errorf("a reader would look for symbols")
	}
	again := p.Copy()
	again.Scale(2)
	var out bytes.Buffer
	if err := again.Compact().Write(&out); err != nil {
		return nil, err
	}
	read, err := profile.ParseData(out.Bytes())
	if err == nil && len(read.Sample) != len(again.Sample) {
		err = fmt.Errorf("%d samples became %d", len(again.Sample), len(read.Sample))
	}
	return p, err
}

// subtract complains where a cumulative value fell, or a sample of the earlier profile did not meet its twin.
func subtract(earlier, later *profile.Profile) error {
	minus := earlier.Copy()
	minus.Scale(-1)
	difference, err := profile.Merge([]*profile.Profile{minus, later})
	if err != nil {
		return err
	}
	for i, t := range difference.SampleType {
		if strings.HasPrefix(t.Type, "inuse_") || t.Type == "goroutine" || t.Type == "samples" || t.Type == "cpu" {
			continue
		}
		for _, s := range difference.Sample {
			if s.Value[i] < 0 {
				return fmt.Errorf("%s fell by %d at %v", t.Type, -s.Value[i], s.Location[0].Line)
			}
		}
	}
	return nil
}
