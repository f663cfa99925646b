#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The player's rules complain of every fault and of nothing else (Go's own tests, in player/).
. "$(dirname "$0")/scrape.sh" || exit 1
need go golang-go
cd "$SOURCE_ROOT/tests/scrape/player" || exit 1
go vet ./... || fail "go vet"
go test ./... || fail "go test"
