// SPDX-License-Identifier: Apache-2.0
//
// What is taken for a thread's own stack, and what is not.
#include "preload/mapped_stack.h"

#include <sys/mman.h>

#include <thread>

#include "tests/unit/catch.h"

namespace leakwatch::preload {
namespace {

constexpr std::size_t kPage = 4096;

// Some pages that play a stack.
struct Pages {
  explicit Pages(std::size_t wanted)
      : bytes(wanted * kPage),
        begin(static_cast<char*>(mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {}
  ~Pages() { munmap(begin, bytes); }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  std::uint64_t page(std::size_t number) const { return reinterpret_cast<std::uintptr_t>(begin + number * kPage); }
  void take_away(std::size_t number) const { mprotect(begin + number * kPage, kPage, PROT_NONE); }
  std::uint64_t end() const { return reinterpret_cast<std::uintptr_t>(begin + bytes); }

  std::size_t bytes;
  char* begin;
};

ThreadState new_thread() {
  ThreadState thread{};
  thread.mapped_from = ThreadState::kNothingMapped;
  return thread;
}

TEST_CASE("a stack is known from the lowest sp on from which every page is there") {
  const Pages pages(8);
  ThreadState thread = new_thread();
  CHECK(extend_mapped_stack(thread, pages.page(6) + 64, pages.end(), pages.end() - 64));
  CHECK(thread.mapped_from == pages.page(6) + 64);
  CHECK(extend_mapped_stack(thread, pages.page(0) + 8, pages.end(), 0));
  CHECK(thread.mapped_from == pages.page(0) + 8);
}

TEST_CASE("what is known reaches no further down than a page that is not there") {
  const Pages pages(8);
  pages.take_away(3);
  ThreadState thread = new_thread();
  CHECK_FALSE(extend_mapped_stack(thread, pages.page(1), pages.end(), pages.end() - 64));
  CHECK(thread.mapped_from == ThreadState::kNothingMapped);
  CHECK(extend_mapped_stack(thread, pages.page(4), pages.end(), pages.end() - 64));
  CHECK_FALSE(extend_mapped_stack(thread, pages.page(2) + kPage - 8, pages.end(), 0));
  CHECK(thread.mapped_from == pages.page(4));
}

TEST_CASE("a walk that ends far from the thread's end was on another stack") {
  const Pages pages(600);
  ThreadState thread = new_thread();
  CHECK_FALSE(extend_mapped_stack(thread, pages.page(0), pages.end(), pages.page(2)));
  CHECK(extend_mapped_stack(thread, pages.page(1), pages.end(), pages.page(599)));
  CHECK(extend_mapped_stack(thread, pages.page(0), pages.end(), 0));  // cut: nobody knows where it would end
}

TEST_CASE("a thread that is on other stacks all the time is not looked at for ever") {
  const Pages pages(4);
  pages.take_away(2);
  ThreadState thread = new_thread();
  for (int i = 0; i < 100; ++i) CHECK_FALSE(extend_mapped_stack(thread, pages.page(0), pages.end(), pages.end()));
  CHECK_FALSE(extend_mapped_stack(thread, pages.page(3), pages.end(), pages.end()));
}

TEST_CASE("the stacks of this thread and of another are known from here on") {
  const auto look = [] {
    ThreadState thread = new_thread();
    const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    const std::uint64_t end = (here | (kPage - 1)) + 1;
    CHECK(extend_mapped_stack(thread, here, end, end - 8));
    CHECK(thread.mapped_from == here);
  };
  look();
  std::thread(look).join();
}

}  // namespace
}  // namespace leakwatch::preload
