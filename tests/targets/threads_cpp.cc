// SPDX-License-Identifier: Apache-2.0
//
// Threads as C++ makes them. What it says must be the same with and without leakwatch: destructors run once and in
// order when a thread is cancelled or leaves by pthread_exit, exceptions and results arrive, thread-locals are
// destroyed.
#include <pthread.h>

#include <atomic>
#include <future>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/targets/truth.h"

namespace {

class Noisy {
 public:
  explicit Noisy(const char* name) : name_(name) {}
  ~Noisy() { say("~%s", name_); }
  Noisy(const Noisy&) = delete;
  Noisy& operator=(const Noisy&) = delete;

 private:
  const char* name_;
};

// What C's threads are given by their own thread: the destructor of a key, which runs after all frames are gone.
pthread_key_t key;
void say_key(void* text) {
  say("key %s", static_cast<const char*>(text));
}

void leave() {
  pthread_exit(const_cast<char*>("left"));
}

void* leaves_by_exit(void*) {
  const Noisy outer("exit outer");
  thread_local const Noisy local("exit thread_local");
  __asm__ volatile("" : : "r"(&local));  // it is made when it is first used
  pthread_setspecific(key, "exit");
  const Noisy inner("exit inner");
  try {
    leave();
  } catch (...) {
    say("unwinding by pthread_exit is caught by catch-all");
    throw;
  }
  return nullptr;
}

std::atomic<bool> is_waiting;

void* is_cancelled(void*) {
  const Noisy outer("cancel outer");
  pthread_setspecific(key, "cancel");
  const Noisy inner("cancel inner");
  is_waiting = true;
  while (true) pause();
}

// Cancelled between any two instructions: so nothing here has a destructor, and the caller does not know that this
// does not throw.
void spin() {
  pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, nullptr);
  is_waiting = true;
  while (true) __asm__ volatile("" ::: "memory");
}
void (*volatile unknown_function)() = spin;

void* is_cancelled_anytime(void*) {
  const Noisy outer("asynchronous outer");
  unknown_function();
  return nullptr;
}

void* throws_and_catches(void*) {
  try {
    const Noisy noisy("thrown past");
    throw std::runtime_error("inside");
  } catch (const std::exception& error) {
    say("caught %s", error.what());
  }
  return nullptr;
}

void run(void* (*routine)(void*), bool cancel) {
  is_waiting = false;
  pthread_t thread;
  require(pthread_create(&thread, nullptr, routine, nullptr) == 0, "pthread_create");
  while (cancel && !is_waiting) sched_yield();
  if (cancel) pthread_cancel(thread);
  void* result = nullptr;
  require(pthread_join(thread, &result) == 0, "pthread_join");
  const char* text = static_cast<const char*>(result);
  say("result %s", result == PTHREAD_CANCELED ? "cancelled" : text == nullptr ? "none" : text);
}

}  // namespace

SITE void make_threads() {
  std::vector<std::thread> threads;
  std::atomic<long> sum = 0;
  for (long i = 1; i <= 20; ++i) threads.emplace_back([&sum, i] { sum += i; });
  for (std::thread& thread : threads) thread.join();
  say("thread %ld", sum.load());
}

SITE void make_jthreads() {
  long count = 0;
  {
    std::jthread thread([&count](const std::stop_token& stop) {
      while (!stop.stop_requested()) std::this_thread::yield();
      ++count;
    });
  }
  say("jthread %ld", count);
}

SITE void make_futures() {
  std::vector<std::future<int>> futures;
  for (int i = 0; i < 10; ++i) futures.push_back(std::async(std::launch::async, [i] { return i * i; }));
  int sum = 0;
  for (std::future<int>& future : futures) sum += future.get();
  say("async %d", sum);
  auto broken = std::async(std::launch::async, []() -> int { throw std::runtime_error("of a future"); });
  try {
    broken.get();
  } catch (const std::exception& error) {
    say("async threw %s", error.what());
  }
}

SITE void make_detached() {
  std::promise<std::string> promise;
  std::future<std::string> future = promise.get_future();
  std::thread([promise = std::move(promise)]() mutable { promise.set_value_at_thread_exit("at its end"); }).detach();
  say("detached %s", future.get().c_str());
}

#ifdef _OPENMP
SITE void make_team() {
  long sum = 0;
#pragma omp parallel for num_threads(4) reduction(+ : sum)
  for (long i = 0; i < 1000; ++i) sum += i;
  say("team %ld", sum);
}
#endif

int main() {
  pthread_key_create(&key, say_key);
  run(leaves_by_exit, false);
  run(is_cancelled, true);
  run(is_cancelled_anytime, true);
  run(throws_and_catches, false);
  make_threads();
  make_jthreads();
  make_futures();
  make_detached();
#ifdef _OPENMP
  make_team();
#endif
}
