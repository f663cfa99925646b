// SPDX-License-Identifier: Apache-2.0
//
// pauses RUNNING SLEEPING: a program that knows when it was held up. RUNNING threads make and free blocks without a
// break, SLEEPING ones do so every few milliseconds. Every 20 ms it prints how many blocks there were since its start,
// and the longest time in microseconds by which any of the threads was late: what others do at that time can be held
// against it. Ends when its standard input does.

#include <poll.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <thread>

namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kSleep = std::chrono::milliseconds(5);

struct alignas(64) Thread {
  std::atomic<std::int64_t> blocks{0};
  std::atomic<std::int64_t> longest_ns{0};  // since it was last asked for
};

// Twenty frames, as in a program that does something.
template <int Level>
[[gnu::noinline]] void use_block() {
  if constexpr (Level == 0) {
    volatile char* block = static_cast<char*>(std::malloc(64));
    block[0] = 1;
    std::free(const_cast<char*>(block));
  } else {
    use_block<Level - 1>();
    std::atomic_signal_fence(std::memory_order_seq_cst);  // not a tail call
  }
}

void live(Thread& own, Clock::duration sleep) {
  auto last = Clock::now();
  while (true) {
    use_block<20>();
    own.blocks.fetch_add(1, std::memory_order_relaxed);
    if (sleep.count() > 0) std::this_thread::sleep_for(sleep);
    const auto now = Clock::now();
    const std::int64_t late = std::chrono::nanoseconds(now - last - sleep).count();
    last = now;
    std::int64_t longest = own.longest_ns.load(std::memory_order_relaxed);
    while (late > longest && !own.longest_ns.compare_exchange_weak(longest, late)) {
    }
  }
}

bool is_input_at_its_end(int patience_ms) {
  pollfd input{.fd = 0, .events = POLLIN, .revents = 0};
  return poll(&input, 1, patience_ms) > 0;
}

}  // namespace

int main(int argc, char** argv) {
  const int running = argc > 1 ? std::atoi(argv[1]) : 2;
  const int sleeping = argc > 2 ? std::atoi(argv[2]) : 98;
  const int count = running + sleeping;
  static Thread threads[1024];
  for (int i = 0; i < std::min(count, 1024); ++i) {
    const Clock::duration sleep = i < running ? Clock::duration::zero() : Clock::duration(kSleep);
    std::thread([i, sleep] { live(threads[i], sleep); }).detach();
  }
  while (!is_input_at_its_end(20)) {
    std::int64_t blocks = 0, longest_ns = 0;
    for (Thread& thread : threads) {
      blocks += thread.blocks.load(std::memory_order_relaxed);
      longest_ns = std::max(longest_ns, thread.longest_ns.exchange(0));
    }
    std::printf("%lld %lld\n", static_cast<long long>(blocks), static_cast<long long>(longest_ns / 1000));
    std::fflush(stdout);
  }
  std::_Exit(0);  // the threads are not waited for
}
