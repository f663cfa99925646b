// SPDX-License-Identifier: Apache-2.0

// The addresses of a text, asked back for their names as `go tool pprof` does.

package main

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

var address = regexp.MustCompile(` 0x[0-9a-f]+`)

func body(response *http.Response, err error) (string, error) {
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, text)
	}
	return string(text), err
}

// calls are the addresses of the first row of the heap's text: one less than what stands there, as readers have it.
func calls(base string) (all []string, err error) {
	text, err := body(client.Get(base + "/debug/pprof/heap?debug=1"))
	if err != nil {
		return nil, err
	}
	lines := strings.SplitN(text, "\n", 3)
	if len(lines) < 3 {
		return nil, fmt.Errorf("no row in %q", text)
	}
	for _, each := range address.FindAllString(lines[1], -1) {
		number, err := strconv.ParseUint(strings.TrimSpace(each), 0, 64)
		if err != nil {
			return nil, err
		}
		all = append(all, fmt.Sprintf("%#x", number-1))
	}
	return all, nil
}

// checkSymbols: each address of a stack has a name, and it is the same by GET and by POST.
func checkSymbols(base string) error {
	asked, err := calls(base)
	if err != nil {
		return err
	}
	names, err := body(client.Get(base + "/debug/pprof/symbol?" + strings.Join(asked, "+")))
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSuffix(names, "\n"), "\n")
	if len(lines) != len(asked)+1 || len(asked) == 0 {
		return fmt.Errorf("%d names for %d addresses: %q", len(lines)-1, len(asked), names)
	}
	for i, each := range asked {
		if fields := strings.SplitN(lines[i+1], " ", 2); len(fields) != 2 || fields[0] != each || fields[1] == "" {
			return fmt.Errorf("%q for %s", lines[i+1], each)
		}
	}
	posted, err := body(client.Post(base+"/debug/pprof/symbol", "application/octet-stream",
		strings.NewReader(strings.Join(asked, "+"))))
	if err != nil && strings.HasPrefix(err.Error(), "405") {
		return nil // Go itself, since 1.22
	}
	if err == nil && posted != names {
		err = fmt.Errorf("%q by POST, %q by GET", posted, names)
	}
	return err
}
