#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# glib's thread pool: its tasks run, and its threads are found by their name, by where they wait for work, and by who
# made the pool.
. "$(dirname "$0")/real.sh" || exit 1
need cc gcc
pkg-config --exists glib-2.0 2>/dev/null || skip "glib's headers are not installed (apt-get install libglib2.0-dev)"
need_pprof

cat >pool.c <<'C'
#include <glib.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
static gint sum;
static gint done;
static void add(gpointer number, gpointer unused) {
  (void)unused;
  g_atomic_int_add(&sum, GPOINTER_TO_INT(number));
  g_atomic_int_inc(&done);
}
__attribute__((noinline)) GThreadPool* make_pool(void) {
  GThreadPool* pool = g_thread_pool_new(add, NULL, 3, TRUE, NULL);
  __asm__ volatile("" ::: "memory"); /* no tail call */
  return pool;
}
int main(int argc, char** argv) {
  int number;
  sigset_t signals;
  (void)argv;
  setvbuf(stdout, NULL, _IOLBF, 0);
  g_set_prgname("shop"); /* older ones name the threads after it, newer ones number them */
  sigemptyset(&signals);
  sigaddset(&signals, SIGUSR2);
  sigprocmask(SIG_BLOCK, &signals, NULL);
  GThreadPool* pool = make_pool();
  for (int i = 1; i <= 100; ++i) g_thread_pool_push(pool, GINT_TO_POINTER(i), NULL);
  while (g_atomic_int_get(&done) < 100) g_usleep(1000);
  printf("pid %d\nready\n", (int)getpid());
  if (argc > 1) sigwait(&signals, &number);
  g_thread_pool_free(pool, FALSE, TRUE);
  printf("sum %d\n", sum);
  return 0;
}
C
# shellcheck disable=SC2046
cc -O1 -g pool.c -o pool $(pkg-config --cflags --libs glib-2.0) || fail "pool.c does not compile"
expect_match "without us" "$(./pool)" '^sum 5050$'

for how in --sample-interval=512KiB --exact; do
  begin -q "$how" -- ./pool stay
  wait_until 30 all_wait "$target" || fail "the pool does not come to rest"
  profile_now 0001
  kill -USR2 "$target"
  finish
  expect "status $how" "$?" 0
  expect_match "what it said $how" "$(cat out.stdout)" '^sum 5050$'
  threads=out/threads.0001.pb.gz creators=out/threadcreate.0001.pb.gz
  expect "threads by the pool's name $how" "$(threads_named $threads 'pool-(shop|\*)')" 3
  expect "threads that wait for work $how" "$(threads_at $threads g_cond_wait)" 3
  expect "threads by who made the pool $how" "$(sums $creators make_pool | cut -d' ' -f1-3)" "3 3 0"
  expect_nothing_lost "$(last_profile)"
done
