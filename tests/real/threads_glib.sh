#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# glib's thread pool, which keeps idle threads: its tasks run, and the threads are found by the name of the pool.
. "$(dirname "$0")/../e2e/threads_lib.sh" || exit 1
pkg-config --exists glib-2.0 2>/dev/null || skip "glib's headers are not installed (apt-get install libglib2.0-dev)"
command -v cc >/dev/null || skip "no C compiler is installed"

cat >pool.c <<'C'
#include <glib.h>
static gint sum;
static void task(gpointer number, gpointer unused) { (void)unused; g_atomic_int_add(&sum, GPOINTER_TO_INT(number)); }
int main(void) {
  GThreadPool* pool = g_thread_pool_new(task, NULL, 3, TRUE, NULL);
  for (int i = 1; i <= 100; ++i) g_thread_pool_push(pool, GINT_TO_POINTER(i), NULL);
  g_thread_pool_free(pool, FALSE, TRUE);
  g_print("sum %d\n", sum);
  return 0;
}
C
# shellcheck disable=SC2046
cc -O1 -g pool.c -o pool $(pkg-config --cflags --libs glib-2.0) || fail "pool.c does not compile"
watch -q -- ./pool
expect "status" "$?" 0
expect "what it said" "$(cat out.stdout)" "sum 5050"
expect "threads of the pool" "$(sums "$(last_creators)" g_thread_pool_new | cut -d' ' -f1)" 3
