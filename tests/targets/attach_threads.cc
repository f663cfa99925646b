// SPDX-License-Identifier: Apache-2.0
//
// attach_threads OBJECT: attached from a thread that is not the first, in a program whose threads are all older. Some
// of them end while it is attached and some afterwards; younger ones begin meanwhile, and are joined after detaching.
// Then all of it again.

#include <pthread.h>

#include <atomic>
#include <thread>
#include <vector>

#include "tests/targets/attach_self.h"

namespace {

constexpr int kOld = 4;

// A thread that does one thing at a time, when it is told to.
class Worker {
 public:
  Worker() : thread_([this] { run(); }) {}
  void work() {
    todo_ = 1;
    wait();
  }
  void leave() {
    todo_ = 2;
    thread_.join();
  }

 private:
  void run();
  void wait() const {
    while (todo_ != 0) usleep(100);
  }
  std::atomic<int> todo_{0};
  std::thread thread_;
};

}  // namespace

SITE void* old_thread_block() {
  return malloc(100);
}
SITE void* young_thread_block() {
  return malloc(200);
}
SITE void* main_block() {
  return malloc(400);
}
// The stack of the caller begins some pages further up.
SITE void* far_from_main() {
  volatile char room[20'000];
  room[0] = 1;
  void* block = main_block();
  room[1] = 1;
  return block;
}

namespace {

void Worker::run() {
  while (todo_ != 2) {
    if (todo_ == 1) {
      free(old_thread_block());
      require(old_thread_block() != nullptr, "malloc");
      todo_ = 0;
    }
    usleep(100);
  }
}

}  // namespace

int main(int, char** argv) {
  const AttachSelf self(argv[1]);
  for (int round = 1; round <= 2; ++round) {
    Truth old, young, main_thread;
    Worker workers[kOld];
    workers[0].work();
    say("round %d", round);
    std::thread([&self] { self.must_attach(); }).join();
    for (Worker& worker : workers) {
      worker.work();
      for (int i = 0; i < 2; ++i) old.allocated(100);
      old.freed(100);
    }
    require(far_from_main() != nullptr, "malloc");
    main_thread.allocated(400);
    workers[0].leave();
    workers[1].leave();
    std::atomic<bool> leave{false};
    std::thread younger([&] {
      free(young_thread_block());
      while (!leave) usleep(100);
      free(young_thread_block());
    });
    young.allocated(200), young.freed(200);
    std::thread([&] { require(young_thread_block() != nullptr, "malloc"); }).join();
    young.allocated(200);
    // The younger one has allocated when it says so; it is inside no hook.
    usleep(20'000);
    std::thread([&self] { self.must_detach(); }).join();
    workers[2].work();
    leave = true;
    younger.join();
    workers[2].leave();
    workers[3].leave();
    tell("old_thread_block", old), tell("young_thread_block", young), tell("main_block", main_thread);
  }
}
