// SPDX-License-Identifier: Apache-2.0
//
// stops RUNNING SLEEPING LOOKS: what a look at the threads of a process costs, and for how long it stops them. A child
// of this program has RUNNING threads that compute and SLEEPING ones that wait for a condition, each some 20 frames
// deep; it is looked at LOOKS times. Prints a line of JSON, times in microseconds:
//
//   look_first, look_median, look_max            of a look as a whole; the first one reads the modules
//   stops, stop_median, stop_p99, stop_max       of the threads that were stopped
//   stopped_asleep                               of these stops, those that hit a sleeping thread
//   unread                                       threads whose stack was not had, for want of time

#include <pthread.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "cli/session/thread_inspector.h"

namespace {

constexpr int kDepth = 20;

volatile int consumed;
pthread_barrier_t in_place;
pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t never = PTHREAD_COND_INITIALIZER;

[[gnu::noinline]] void compute() {
  pthread_barrier_wait(&in_place);
  while (true) consumed = consumed + 1;
}

[[gnu::noinline]] void sleep_for_ever() {
  pthread_barrier_wait(&in_place);
  pthread_mutex_lock(&mutex);
  while (true) pthread_cond_wait(&never, &mutex);
}

template <int Level>
[[gnu::noinline]] void descend(void (*place)()) {
  if constexpr (Level == 0) {
    place();
  } else {
    descend<Level - 1>(place);
  }
  consumed = Level;  // not a tail call
}

void start(int threads, void (*place)()) {
  for (int i = 0; i < threads; ++i) std::thread([place] { descend<kDepth>(place); }).detach();
}

[[noreturn]] void be_looked_at(int running, int sleeping, int ready) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  pthread_barrier_init(&in_place, nullptr, static_cast<unsigned>(running + sleeping) + 1);
  start(sleeping, sleep_for_ever);
  start(running, compute);
  pthread_barrier_wait(&in_place);
  const char byte = 'r';
  if (write(ready, &byte, 1) != 1) std::abort();
  while (true) pause();
}

// Starts the child; returns when its threads are all there.
pid_t start_child(int running, int sleeping) {
  int ends[2];
  if (pipe(ends) != 0) std::abort();
  const pid_t child = fork();
  if (child < 0) std::abort();
  if (child == 0) be_looked_at(running, sleeping, ends[1]);
  char byte = 0;
  if (read(ends[0], &byte, 1) != 1) std::abort();
  std::this_thread::sleep_for(std::chrono::milliseconds(200));  // from the barrier to the wait
  return child;
}

double microseconds(const std::vector<std::int64_t>& sorted, double part) {
  if (sorted.empty()) return 0;
  const auto last = static_cast<double>(sorted.size() - 1);
  return static_cast<double>(sorted[static_cast<std::size_t>(std::lround(last * part))]) / 1000;
}

struct Times {
  std::vector<std::int64_t> looks, stops;
  int stopped_asleep = 0;
  int unread = 0;
};

Times look_at(pid_t pid, int looks, std::size_t threads) {
  leakwatch::ThreadInspector inspector(pid);
  Times times;
  for (int i = 0; i < looks; ++i) {
    const leakwatch::ThreadObservation observation = inspector.look();
    if (observation.threads.size() != threads || !observation.refusal.empty()) {
      std::fprintf(stderr, "stops: %zu of %zu threads seen. %s\n", observation.threads.size(), threads,
                   observation.refusal.c_str());
      std::exit(1);
    }
    times.looks.push_back(observation.duration_ns);
    for (const leakwatch::ObservedThread& thread : observation.threads) {
      if (thread.was_stopped) times.stops.push_back(thread.stopped_ns);
      if (thread.was_stopped_asleep) ++times.stopped_asleep;
      if (thread.stack.empty()) ++times.unread;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return times;
}

}  // namespace

int main(int argc, char** argv) {
  const int running = argc > 1 ? std::atoi(argv[1]) : 2;
  const int sleeping = argc > 2 ? std::atoi(argv[2]) : 0;
  const int looks = argc > 3 ? std::atoi(argv[3]) : 50;
  const pid_t child = start_child(running, sleeping);
  Times times = look_at(child, looks, static_cast<std::size_t>(running + sleeping) + 1);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  const double first = static_cast<double>(times.looks.front()) / 1000;
  std::sort(times.looks.begin(), times.looks.end());
  std::sort(times.stops.begin(), times.stops.end());
  std::printf(
      R"({"look_first": %.0f, "look_median": %.0f, "look_max": %.0f, )"
      R"("stops": %zu, "stop_median": %.1f, "stop_p99": %.1f, "stop_max": %.1f, "stopped_asleep": %d, "unread": %d})"
      "\n",
      first, microseconds(times.looks, 0.5), microseconds(times.looks, 1), times.stops.size(),
      microseconds(times.stops, 0.5), microseconds(times.stops, 0.99), microseconds(times.stops, 1),
      times.stopped_asleep, times.unread);
}
