// SPDX-License-Identifier: Apache-2.0
//
// Sessions one after the other, and when their memory goes.

#include "preload/session_start.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <set>
#include <thread>

#include "cli/drain/shared_region.h"
#include "preload/hook_gate.h"
#include "preload/recorder.h"
#include "preload/ring_writer.h"
#include "tests/unit/catch.h"

namespace {

using namespace leakwatch;
using namespace leakwatch::preload;

// The target's own mapping, as connect.cc makes it.
shared::Header* map_again(const SharedRegion& region) {
  const off_t bytes = lseek(region.descriptor(), 0, SEEK_END);
  void* memory =
      mmap(nullptr, static_cast<std::size_t>(bytes), PROT_READ | PROT_WRITE, MAP_SHARED, region.descriptor(), 0);
  REQUIRE(memory != MAP_FAILED);
  return static_cast<shared::Header*>(memory);
}

bool is_mapped(const void* address) {
  unsigned char resident = 0;
  const char* page = static_cast<const char*>(address) - reinterpret_cast<std::uintptr_t>(address) % 4096;
  return mincore(const_cast<char*>(page), 1, &resident) == 0;
}

struct Settings {
  SharedRegion region;
  explicit Settings(std::uint64_t interval) : region(RegionSettings{interval, 64, 1, shared::Clock::kMonotonic}) {}
};

bool filter_is(std::uint8_t wanted) {
  const std::uint8_t* filter = fast_path.free_filter.load();
  for (std::size_t i = 0; i < kFilterElements; ++i) {
    if (filter[i] != wanted) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("A free that waits for room when its session ends is no loss of that session", "[session]") {
  Settings settings(1);
  Session* session = prepare_session(map_again(settings.region));
  REQUIRE(session != nullptr);
  activate_session(*session, true);
  std::atomic<int> frees = 0;
  std::thread busy([&frees] {
    for (char block; SessionHold(); ++frees) record_free(&block);
  });
  int before = -1;
  while (frees == 0 || before != frees) {  // nobody drains
    before = frees;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  session->end(shared::End::kDetached);
  busy.join();
  CHECK(settings.region.header().lost_frees == 0);
  CHECK(take_down_sessions() == 0);
}

TEST_CASE("A session that nobody is in goes when it is over", "[session]") {
  Settings settings(1);
  Session* session = prepare_session(map_again(settings.region));
  REQUIRE(session != nullptr);
  CHECK_FALSE(SessionHold());
  activate_session(*session, true);
  CHECK(hook_gate == session->id);
  CHECK(filter_is(1));
  CHECK(settings.region.header().joined == 1);
  {
    const SessionHold hold;
    REQUIRE(hold.get() == session);
  }
  CHECK(take_down_sessions() == 0);
  CHECK(SessionHold().get() == session);  // it was not over
  const void* shared_memory = session->header;
  const void* tables = session->private_memory;
  session->end(shared::End::kDetached);
  CHECK_FALSE(SessionHold());
  CHECK(hook_gate == kOpen);
  CHECK(filter_is(0));
  CHECK(settings.region.header().ended == static_cast<std::uint32_t>(shared::End::kDetached));
  CHECK(take_down_sessions() == 0);
  CHECK_FALSE(is_mapped(shared_memory));
  CHECK_FALSE(is_mapped(tables));
}

TEST_CASE("A session that a hook is in stays, and does not stand in the way of the next one", "[session]") {
  Settings first_settings(1), second_settings(4096);
  Session* first = prepare_session(map_again(first_settings.region));
  REQUIRE(first != nullptr);
  activate_session(*first, true);
  std::optional<SessionHold> hook(std::in_place);
  REQUIRE(hook->get() == first);
  first->end(shared::End::kDetached);
  CHECK(take_down_sessions() == 1);
  first->scratch_of(first->rings[1]);
  CHECK(is_mapped(first->header));

  Session* second = prepare_session(map_again(second_settings.region));
  REQUIRE(second != nullptr);
  CHECK(second != first);
  CHECK(second->id != first->id);
  activate_session(*second, true);
  CHECK(filter_is(0));
  // The hook finds out now that the first one is over, and must not end the second.
  first->end(shared::End::kReaderSlow);
  CHECK(SessionHold().get() == second);
  CHECK(hook_gate == second->id);
  CHECK(fast_path.free_filter == second->filter);
  second->end(shared::End::kDetached);
  CHECK(take_down_sessions() == 1);
  hook.reset();
  CHECK(take_down_sessions() == 0);
}

TEST_CASE("Many sessions use the same pages, with clean tables", "[session]") {
  std::set<const void*> pages;
  for (std::uint64_t i = 0; i < 20; ++i) {
    Settings settings(i % 2 == 0 ? 1 : 4096);
    Session* session = prepare_session(map_again(settings.region));
    REQUIRE(session != nullptr);
    pages.insert(session->page);
    activate_session(*session, true);
    CHECK(filter_is(i % 2 == 0 ? 1 : 0));
    if (i % 2 != 0) {
      CHECK_FALSE(session->sampled.contains(&pages));
      CHECK(session->sampled.insert(&pages, false));
    }
    session->end(shared::End::kDetached);
    CHECK(take_down_sessions() == 0);
  }
  CHECK(pages.size() <= 2);  // the test before may have needed a second one
}

TEST_CASE("A child has no session, whoever was inside one", "[session]") {
  Settings settings(1);
  Session* session = prepare_session(map_again(settings.region));
  REQUIRE(session != nullptr);
  activate_session(*session, true);
  {
    const SessionHold hold;
    const pid_t child = fork();
    if (child == 0) _exit(SessionHold() || take_down_sessions() != 0 ? 1 : 0);
    int status = 1;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(status == 0);
  }
  session->end(shared::End::kDetached);
  CHECK(take_down_sessions() == 0);
}

TEST_CASE("A child that is made inside of a hook goes on with what the hook had found, and reaches nobody",
          "[session]") {
  Settings settings(1);
  shared::Header* memory = map_again(settings.region);
  REQUIRE(madvise(memory, memory->total_bytes, MADV_DONTFORK) == 0);
  Session* session = prepare_session(memory);
  REQUIRE(session != nullptr);
  activate_session(*session, true);
  {
    const BusyScope busy(thread_state);
    const SessionHold hold;
    hold->shared_ring_locked = 1;  // by a thread that the child does not have
    const pid_t child = fork();
    if (child == 0) {
      hold->header->lost_frees.fetch_add(1);
      const bool is_bounded = reader_is_gone(*hold) && hold->shared_ring_locked == 0;
      _exit(is_bounded && hold->id == session->id && !SessionHold() && take_down_sessions() == 0 ? 0 : 1);
    }
    int status = 1;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    hold->shared_ring_locked = 0;
  }
  CHECK(settings.region.header().lost_frees == 0);
  CHECK(settings.region.header().forks == 1);
  session->end(shared::End::kDetached);
  CHECK(take_down_sessions() == 0);
}
