// SPDX-License-Identifier: Apache-2.0

// reference: a Go service with net/http/pprof that does what tests/targets/counterpart.cc does: it keeps blocks of two
// sizes and has workers that wait. Prints where it listens, and goes on until it is killed.

package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	_ "net/http/pprof"
	"os"
	"runtime"
	"runtime/pprof"
)

const (
	smallBlocks = 1024 // of 64 KiB
	largeBlocks = 64   // of 1 MiB
	workers     = 8
)

var kept [][]byte

//go:noinline
func keepSmall() { kept = append(kept, make([]byte, 64<<10)) }

//go:noinline
func keepLarge() { kept = append(kept, make([]byte, 1<<20)) }

//go:noinline
func waitForWork(work <-chan int) { <-work }

func main() {
	for i := 0; i < smallBlocks; i++ {
		keepSmall()
	}
	for i := 0; i < largeBlocks; i++ {
		keepLarge()
	}
	work := make(chan int)
	for i := 0; i < workers; i++ {
		go pprof.Do(context.Background(), pprof.Labels("thread_name", "worker-*"), func(context.Context) {
			waitForWork(work)
		})
	}
	runtime.GC() // a heap profile is as of the last collection
	runtime.GC()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("http://%s\n", listener.Addr())
	fmt.Fprintln(os.Stderr, http.Serve(listener, nil))
	runtime.KeepAlive(kept)
	os.Exit(1)
}
