// SPDX-License-Identifier: Apache-2.0
//
// attach_storm OBJECT LIBRARY ROUNDS: eight threads allocate and free as fast as they can, one forks, one loads and
// unloads LIBRARY, one interrupts the others with signals; and the main thread attaches and detaches meanwhile, ROUNDS
// times, or leaves that to others until SIGTERM comes when ROUNDS is 0. Every block holds what was written to it, every
// child ends well, and neither mappings nor descriptors get more.

#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <thread>
#include <vector>

#include "tests/targets/attach_self.h"

namespace {

constexpr int kThreads = 8;
std::atomic<bool> stop;
std::atomic<long> rounds_of_storm, children, loads, signals;
pthread_t storming[kThreads];

long count_lines(const char* path) {
  std::FILE* file = std::fopen(path, "r");
  require(file != nullptr, path);
  long lines = 0;
  for (int c; (c = std::fgetc(file)) != EOF;) lines += c == '\n';
  std::fclose(file);
  return lines;
}

long count_descriptors() {
  DIR* folder = opendir("/proc/self/fd");
  require(folder != nullptr, "opendir");
  long count = 0;
  while (readdir(folder) != nullptr) ++count;
  closedir(folder);
  return count;
}

// How long our thread was kept by one kind of call; the median is what a quiet machine would show.
class Times {
 public:
  void note(const AttachSelf& self) { us_.push_back(static_cast<long>(self.state().last_call_ns) / 1000); }
  void tell(const char* what) {
    if (us_.empty()) return;
    std::sort(us_.begin(), us_.end());
    say("%s: median %ld us, longest %ld us", what, us_[us_.size() / 2], us_.back());
  }

 private:
  std::vector<long> us_;
};

std::size_t size_of(long i) {
  return 16 + static_cast<std::size_t>(i * 37 % 900);
}

}  // namespace

// Every way to get a block that programs really use.
SITE char* storm_block(long i) {
  const std::size_t size = size_of(i);
  switch (i % 4) {
    case 0:
      return static_cast<char*>(calloc(1, size));
    case 1:
      return static_cast<char*>(realloc(malloc(8), size));
    case 2:
      return static_cast<char*>(aligned_alloc(16, (size + 15) & ~std::size_t{15}));
    default:
      return static_cast<char*>(malloc(size));
  }
}

namespace {

void storm(int number) {
  char* held[256] = {};
  for (long i = number; !stop; ++i) {
    char*& place = held[i % 256];
    if (place != nullptr) {
      const auto mark = static_cast<char>(number + 1);
      require(place[0] == mark && place[15] == mark && (place[8] & 0xff) == ((i - 256) & 0xff), "a block's content");
    }
    free(place);
    place = storm_block(i);
    require(place != nullptr, "malloc");
    std::memset(place, number + 1, 16);
    place[8] = static_cast<char>(i);
    rounds_of_storm.fetch_add(1, std::memory_order_relaxed);
  }
  for (char* block : held) free(block);
}

void fork_again_and_again() {
  while (!stop) {
    void* inherited = malloc(100);
    const pid_t child = fork();
    if (child == 0) {
      free(inherited);
      for (long i = 0; i < 200; ++i) free(storm_block(i));
      _exit(7);
    }
    int status = 0;
    require(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 7,
            "a child");
    free(inherited);
    ++children;
    usleep(20'000);
  }
}

void load_again_and_again(const char* path) {
  while (!stop) {
    void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    require(library != nullptr, "dlopen");
    auto* allocate = reinterpret_cast<void* (*)()>(dlsym(library, "allocate"));
    for (int i = 0; i < 20; ++i) free(allocate());
    require(dlclose(library) == 0, "dlclose");
    ++loads;
  }
}

void interrupt_again_and_again() {
  for (int i = 0; !stop; ++i) {
    pthread_kill(storming[i % kThreads], SIGUSR1);
    usleep(500);
  }
}

}  // namespace

int main(int, char** argv) {
  const AttachSelf self(argv[1]);
  struct sigaction action {};
  action.sa_handler = [](int) { ++signals; };
  action.sa_flags = SA_RESTART;
  sigaction(SIGUSR1, &action, nullptr);
  sigset_t end;
  sigemptyset(&end);
  sigaddset(&end, SIGTERM);
  sigprocmask(SIG_BLOCK, &end, nullptr);
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back(storm, i);
    storming[i] = threads.back().native_handle();
  }
  threads.emplace_back(fork_again_and_again);
  threads.emplace_back(load_again_and_again, argv[2]);
  threads.emplace_back(interrupt_again_and_again);
  const int rounds = std::atoi(argv[3]);
  Times attaching, looking, detaching;
  long mappings = 0, descriptors = 0;
  for (int i = 0; i < rounds; ++i) {
    self.must_attach();
    attaching.note(self);
    const long before = rounds_of_storm;
    while (rounds_of_storm < before + 500) usleep(100);
    while (self.look_again() != AttachSelf::Outcome::kDone) usleep(100);
    looking.note(self);
    self.must_detach();
    detaching.note(self);
    require(self.state().slots_refused == 0 && self.state().slots_patched == 0, "all slots restored");
    if (i == rounds / 10) mappings = count_lines("/proc/self/maps"), descriptors = count_descriptors();
  }
  if (rounds == 0) {
    while (rounds_of_storm < 100'000) usleep(100);
    mappings = count_lines("/proc/self/maps"), descriptors = count_descriptors();
    say("ready");
    int signal = 0;
    sigwait(&end, &signal);
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  attaching.tell("attach"), looking.tell("look again"), detaching.tell("detach");
  say("rounds %d storm %ld children %ld loads %ld signals %ld", rounds, rounds_of_storm.load(), children.load(),
      loads.load(), signals.load());
  // The threads that stormed have gone, and malloc's arenas grow and shrink by themselves.
  say("mappings %ld then %ld", mappings, count_lines("/proc/self/maps"));
  require(count_lines("/proc/self/maps") < mappings + 40, "mappings");
  require(count_descriptors() <= descriptors, "descriptors");
  require(children > 0 && loads > 0 && signals > 0, "everything happened");
  say("done");
}
