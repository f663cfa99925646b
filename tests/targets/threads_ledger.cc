// SPDX-License-Identifier: Apache-2.0
//
// Creates, ends and releases threads in every way that there is, each in a function of its own, and tells for each:
// created, running, ended but never joined, and the bytes of stack that the latter two hold. Whatever it tells as ended
// has left the kernel's list of threads by then: nothing depends on time.
#include <pthread.h>
#include <threads.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <ctime>

#include <sys/syscall.h>

#include "tests/targets/truth.h"

namespace {

constexpr std::size_t kStack = 256 * 1024;
std::size_t default_stack;
std::atomic<int> last_tid;  // of the newest thread; 0: it has not begun
std::atomic<bool> may_end;

void tell_threads(const char* creator, long created, long running, long unjoined, std::size_t stack_bytes) {
  tell(creator, {created, running, unjoined, static_cast<long>(stack_bytes)});
}

void arrive() {
  last_tid = static_cast<int>(syscall(SYS_gettid));
}
void block() {
  while (true) pause();
}

void* returns(void*) {
  arrive();
  return nullptr;
}
void* exits(void*) {
  arrive();
  pthread_exit(nullptr);
}
void* blocks(void*) {
  arrive();
  block();
  return nullptr;
}
void* waits(void*) {
  arrive();
  while (!may_end) sched_yield();
  return nullptr;
}
void* detaches_itself(void*) {
  pthread_detach(pthread_self());
  arrive();
  return nullptr;
}
void* joins(void* other) {
  arrive();
  pthread_join(*static_cast<pthread_t*>(other), nullptr);
  return nullptr;
}
int c11_returns(void*) {
  arrive();
  return 0;
}
int c11_exits(void*) {
  arrive();
  thrd_exit(0);
}

// Of the newest thread.
int await_begin() {
  while (last_tid == 0) sched_yield();
  return last_tid.exchange(0);
}
void await_end() {
  char path[64];
  std::snprintf(path, sizeof path, "/proc/self/task/%d", await_begin());
  while (access(path, F_OK) == 0) sched_yield();
}

pthread_t create(void* (*routine)(void*), void* argument = nullptr, const pthread_attr_t* attributes = nullptr) {
  pthread_t thread;
  require(pthread_create(&thread, attributes, routine, argument) == 0, "pthread_create");
  return thread;
}
thrd_t c11_create(int (*routine)(void*)) {
  thrd_t thread;
  require(thrd_create(&thread, routine, nullptr) == thrd_success, "thrd_create");
  return thread;
}

struct Attributes {
  explicit Attributes(std::size_t stack = kStack, int detached = PTHREAD_CREATE_JOINABLE) {
    pthread_attr_init(&value);
    pthread_attr_setstacksize(&value, stack);
    pthread_attr_setdetachstate(&value, detached);
  }
  ~Attributes() { pthread_attr_destroy(&value); }
  pthread_attr_t value;
};

constexpr timespec kFar{.tv_sec = 0x7fffffff, .tv_nsec = 0};
constexpr timespec kPast{.tv_sec = 1, .tv_nsec = 0};

}  // namespace

// --- joined ---

SITE void by_join() {
  for (int i = 0; i < 3; ++i) {
    pthread_t thread = create(i == 0 ? returns : exits);
    require(pthread_join(thread, nullptr) == 0, "join");
  }
  tell_threads("by_join", 3, 0, 0, 0);
}

SITE void by_tryjoin() {
  pthread_t thread = create(waits);
  require(pthread_tryjoin_np(thread, nullptr) == EBUSY, "tryjoin of a running thread");
  may_end = true;
  while (pthread_tryjoin_np(thread, nullptr) == EBUSY) sched_yield();
  may_end = false;
  tell_threads("by_tryjoin", 1, 0, 0, 0);
}

SITE void by_timedjoin() {
  pthread_t thread = create(waits);
  require(pthread_timedjoin_np(thread, nullptr, &kPast) == ETIMEDOUT, "timedjoin of a running thread");
  may_end = true;
  require(pthread_timedjoin_np(thread, nullptr, &kFar) == 0, "timedjoin");
  may_end = false;
  tell_threads("by_timedjoin", 1, 0, 0, 0);
}

SITE void by_clockjoin() {
  pthread_t thread = create(waits);
  require(pthread_clockjoin_np(thread, nullptr, CLOCK_MONOTONIC, &kPast) == ETIMEDOUT, "clockjoin of a running thread");
  may_end = true;
  require(pthread_clockjoin_np(thread, nullptr, CLOCK_MONOTONIC, &kFar) == 0, "clockjoin");
  may_end = false;
  tell_threads("by_clockjoin", 1, 0, 0, 0);
}

SITE void by_thrd_join() {
  for (int i = 0; i < 2; ++i) {
    thrd_t thread = c11_create(i == 0 ? c11_returns : c11_exits);
    require(thrd_join(thread, nullptr) == thrd_success, "thrd_join");
  }
  tell_threads("by_thrd_join", 2, 0, 0, 0);
}

SITE void by_cancel_and_join() {
  pthread_t thread = create(blocks);
  require(pthread_cancel(thread) == 0, "cancel");
  void* result = nullptr;
  require(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED, "join of a cancelled thread");
  tell_threads("by_cancel_and_join", 1, 0, 0, 0);
}

// A joiner that is cancelled while it waits in our hook has joined nobody.
SITE void by_second_joiner() {
  last_tid = 0;
  pthread_t thread = create(waits);
  await_begin();
  pthread_t joiner = create(joins, &thread);
  await_begin();
  require(pthread_cancel(joiner) == 0 && pthread_join(joiner, nullptr) == 0, "cancel a joiner");
  may_end = true;
  require(pthread_join(thread, nullptr) == 0, "join after a cancelled joiner");
  may_end = false;
  tell_threads("by_second_joiner", 2, 0, 0, 0);
}

// --- detached and ended ---

SITE void detached_by_attribute() {
  const Attributes attributes(kStack, PTHREAD_CREATE_DETACHED);
  last_tid = 0;
  create(returns, nullptr, &attributes.value);
  await_end();
  tell_threads("detached_by_attribute", 1, 0, 0, 0);
}

SITE void detached_while_running() {
  last_tid = 0;
  pthread_t thread = create(waits);
  require(pthread_detach(thread) == 0, "detach");
  may_end = true;
  await_end();
  may_end = false;
  tell_threads("detached_while_running", 1, 0, 0, 0);
}

SITE void detached_after_end() {
  last_tid = 0;
  pthread_t thread = create(returns);
  await_end();
  require(pthread_detach(thread) == 0, "detach of an ended thread");
  tell_threads("detached_after_end", 1, 0, 0, 0);
}

SITE void detached_by_itself() {
  last_tid = 0;
  create(detaches_itself);
  await_end();
  tell_threads("detached_by_itself", 1, 0, 0, 0);
}

SITE void detached_by_thrd() {
  last_tid = 0;
  thrd_t thread = c11_create(c11_returns);
  await_end();
  require(thrd_detach(thread) == thrd_success, "thrd_detach");
  tell_threads("detached_by_thrd", 1, 0, 0, 0);
}

// --- still there ---

SITE void left_running() {
  const Attributes attributes;
  for (int i = 0; i < 2; ++i) {
    last_tid = 0;
    create(blocks, nullptr, &attributes.value);
    await_begin();
  }
  tell_threads("left_running", 2, 2, 0, 2 * kStack);
}

SITE void left_running_detached() {
  const Attributes attributes(2 * kStack, PTHREAD_CREATE_DETACHED);
  last_tid = 0;
  create(blocks, nullptr, &attributes.value);
  await_begin();
  tell_threads("left_running_detached", 1, 1, 0, 2 * kStack);
}

SITE void unjoined_by_return() {
  const Attributes attributes;
  for (int i = 0; i < 3; ++i) {
    last_tid = 0;
    pthread_t thread;
    require(pthread_create(&thread, &attributes.value, returns, nullptr) == 0, "pthread_create");
    await_end();
  }
  tell_threads("unjoined_by_return", 3, 0, 3, 3 * kStack);
}

SITE void unjoined_by_exit() {
  last_tid = 0;
  create(exits);
  await_end();
  tell_threads("unjoined_by_exit", 1, 0, 1, default_stack);
}

SITE void unjoined_by_cancel() {
  const Attributes attributes;
  last_tid = 0;
  pthread_t thread;
  require(pthread_create(&thread, &attributes.value, blocks, nullptr) == 0, "pthread_create");
  while (last_tid == 0) sched_yield();
  require(pthread_cancel(thread) == 0, "cancel");
  await_end();
  tell_threads("unjoined_by_cancel", 1, 0, 1, kStack);
}

SITE void unjoined_by_thrd_exit() {
  last_tid = 0;
  c11_create(c11_exits);
  await_end();
  tell_threads("unjoined_by_thrd_exit", 1, 0, 1, default_stack);
}

// --- never there ---

SITE void failed_creation() {
  const Attributes attributes(std::size_t{1} << 46U);
  pthread_t thread;
  require(pthread_create(&thread, &attributes.value, returns, nullptr) != 0, "a stack of 64 TiB");
  tell_threads("failed_creation", 0, 0, 0, 0);
}

// --- created by a thread, not by main ---

SITE void* creates_another(void*) {
  require(pthread_join(create(returns), nullptr) == 0, "join");
  return nullptr;
}
SITE void creates_a_creator() {
  require(pthread_join(create(creates_another), nullptr) == 0, "join");
  tell_threads("creates_a_creator", 1, 0, 0, 0);
  tell_threads("creates_another", 1, 0, 0, 0);
}

int main() {
  pthread_attr_t attributes;
  require(pthread_getattr_default_np(&attributes) == 0, "default attributes");
  pthread_attr_getstacksize(&attributes, &default_stack);
  by_join();
  by_tryjoin();
  by_timedjoin();
  by_clockjoin();
  by_thrd_join();
  by_cancel_and_join();
  by_second_joiner();
  detached_by_attribute();
  detached_while_running();
  detached_after_end();
  detached_by_itself();
  detached_by_thrd();
  left_running();
  left_running_detached();
  unjoined_by_return();
  unjoined_by_exit();
  unjoined_by_cancel();
  unjoined_by_thrd_exit();
  failed_creation();
  creates_a_creator();
  say("pid %d", getpid());
  say("ready");
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  int signal = 0;
  if (getenv("STAY") != nullptr) sigwait(&signals, &signal);
}
