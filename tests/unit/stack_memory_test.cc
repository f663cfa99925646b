// SPDX-License-Identifier: Apache-2.0
//
// The stacks of this very process, of which the truth is known: where they are, and which of their pages were touched.
#include "cli/process/stack_memory.h"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <future>

#include "cli/drain/session_clock.h"
#include "tests/unit/catch.h"

namespace leakwatch {
namespace {

constexpr std::uint64_t kPage = 4096;

MemoryMapping mapping(std::uint64_t start, std::uint64_t limit, bool writable = true, const std::string& name = "") {
  MemoryMapping result;
  result.start = start;
  result.limit = limit;
  result.writable = writable;
  result.name = name;
  return result;
}

TEST_CASE("a stack ends with the page of the handle and is as large as was asked for, or as its mapping") {
  const std::vector<MemoryMapping> mappings = {mapping(0x10000, 0x11000, false), mapping(0x11000, 0x31000)};
  CHECK(stack_range(mappings, 0x30700, 0x20000) == StackRange{0x11000, 0x31000});
  CHECK(stack_range(mappings, 0x30700, 0x8000) == StackRange{0x29000, 0x31000});  // a neighbour shares the mapping
  CHECK(stack_range(mappings, 0x20700, 0x8000) == StackRange{0x19000, 0x21000});  // on both sides
  CHECK(stack_range(mappings, 0x30700, 0x90000) == StackRange{0x11000, 0x31000});
  CHECK(stack_range(mappings, 0x30700, ~std::uint64_t{0}) == StackRange{0x11000, 0x31000});
  for (const std::uint64_t handle : {std::uint64_t{0}, std::uint64_t{0x10700}, std::uint64_t{0x31000}})
    CHECK(stack_range(mappings, handle, 0x8000).size() == 0);
  CHECK(stack_range({}, 0x30700, 0x8000) == StackRange{});
  CHECK(main_stack_range(mappings) == StackRange{});
  CHECK(main_stack_range({mapping(0x1000, 0x2000, true, "[heap]"), mapping(0x7000, 0x9000, true, "[stack]")}) ==
        StackRange{0x7000, 0x9000});
}

class Pages {
 public:
  explicit Pages(std::uint64_t count)
      : bytes_(count * kPage),
        start_(mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) {
    madvise(start_, bytes_, MADV_NOHUGEPAGE);
  }
  ~Pages() { munmap(start_, bytes_); }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  void touch(std::uint64_t page) { static_cast<volatile char*>(start_)[page * kPage] = 1; }
  StackRange range() const {
    const auto start = reinterpret_cast<std::uintptr_t>(start_);
    return {start, start + bytes_};
  }

 private:
  std::uint64_t bytes_;
  void* start_;
};

TEST_CASE("resident are the pages that were touched, wherever they are in the range") {
  Pages pages(5000);
  for (const std::uint64_t page : {0U, 1U, 2047U, 2048U, 4999U}) pages.touch(page);
  StackMemory memory(getpid());
  const StackRange all = pages.range();
  CHECK(memory.resident_bytes(all) == 5 * kPage);
  CHECK(memory.resident_bytes({all.start + 2 * kPage, all.limit}) == 3 * kPage);
  CHECK(memory.resident_bytes({all.start + 2 * kPage, all.start + 2047 * kPage}) == 0);
  CHECK(memory.resident_bytes({all.start, all.start}) == 0);
  CHECK(memory.resident_bytes({all.limit, all.start}) == 0);
}

TEST_CASE("whatever sizes the ledger was told, the asking has an end") {
  Pages pages(1000);
  pages.touch(3);
  StackMemory memory(getpid(), 2500);
  CHECK(memory.resident_bytes({0, std::uint64_t{1} << 47}) == 0);
  CHECK(memory.resident_bytes(pages.range()) == kPage);
  CHECK(memory.resident_bytes(pages.range()) == kPage);
  CHECK(memory.resident_bytes(pages.range()) == 0);
}

TEST_CASE("a process that is not there has no stacks") {
  StackMemory memory(0);
  CHECK(memory.mappings().empty());
  CHECK(memory.resident_bytes({0x1000, 0x2000}) == 0);
}

// Touches its stack down to `bytes` below.
void touch_stack(std::size_t bytes) {
  auto* room = static_cast<volatile char*>(__builtin_alloca(bytes));
  for (std::size_t i = 0; i < bytes; i += kPage) room[i] = 1;
}

// A thread that has used that much of its stack, and ends when it is told to.
class StackUser {
 public:
  StackUser(std::size_t stack_bytes, std::size_t used) : used_(used) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, stack_bytes);
    REQUIRE(pthread_create(&thread_, &attributes, run, this) == 0);
    pthread_attr_destroy(&attributes);
    frame_ = arrived_.get_future().get();
  }
  ~StackUser() {
    end();
    pthread_join(thread_, nullptr);
  }
  StackUser(const StackUser&) = delete;
  StackUser& operator=(const StackUser&) = delete;

  // Until the kernel has it no more; it is still to be joined.
  void end() {
    if (!has_been_told_) may_end_.set_value();
    has_been_told_ = true;
    while (access(("/proc/self/task/" + std::to_string(tid_)).c_str(), F_OK) == 0) usleep(1000);
  }
  std::uint64_t handle() const { return thread_; }
  std::uint64_t frame() const { return frame_; }  // an address on its stack

 private:
  static void* run(void* self) {
    auto* user = static_cast<StackUser*>(self);
    touch_stack(user->used_);
    user->tid_ = gettid();
    // A local variable may be elsewhere: AddressSanitizer keeps them on a stack of its own.
    user->arrived_.set_value(reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)));
    user->may_end_.get_future().wait();
    return nullptr;
  }

  const std::size_t used_;
  pthread_t thread_{};
  pid_t tid_ = 0;
  std::uint64_t frame_ = 0;
  bool has_been_told_ = false;
  std::promise<std::uint64_t> arrived_;
  std::promise<void> may_end_;
};

TEST_CASE("a thread's handle leads to its stack, and still does when it has ended and is to be joined") {
  constexpr std::size_t kStack = 4 << 20, kUsed = 1 << 20;
  StackUser user(kStack, kUsed);
  for (const bool has_ended : {false, true}) {
    if (has_ended) user.end();
    StackMemory memory(getpid());
    const StackRange stack = stack_range(memory.mappings(), user.handle(), kStack);
    CHECK(stack.size() == kStack);
    CHECK(stack.start < user.frame());
    CHECK(user.frame() < stack.limit);
    const std::uint64_t resident = memory.resident_bytes(stack);
    if (!has_ended) CHECK(resident >= kUsed);
    CHECK(resident >= kPage);
    // A thread that ends gives most of it back.
    CHECK(resident <= (has_ended ? kUsed : kStack));
  }
}

TEST_CASE("an age is what a tick lasted so far, times the ticks") {
  const TickMoment first{1000, 500}, later{3000, 1500};  // two ticks a nanosecond
  CHECK(ns_until(2000, first, later) == 500);
  CHECK(ns_until(1000, first, later) == 1000);
  CHECK(ns_until(400, first, later) == 1300);  // before the session
  CHECK(ns_until(3000, first, later) == 0);
  CHECK(ns_until(~std::uint64_t{0}, first, later) == 0);
  CHECK(ns_until(2000, first, first) == 0);
  CHECK(ns_until(0, {~std::uint64_t{0} - 1, 0}, {~std::uint64_t{0}, ~std::uint64_t{0}}) > 0);  // and does not overflow
}

}  // namespace
}  // namespace leakwatch
