// SPDX-License-Identifier: Apache-2.0
//
// Where malloc, free and malloc_usable_size go on: straight to the next functions, unless there is something to look
// at.
#include "preload/hook_gate.h"

#include "preload/bootstrap_arena.h"
#include "preload/fast_path.h"
#include "preload/next.h"
#include "preload/session.h"
#include "tests/unit/catch.h"

namespace leakwatch::preload {
namespace {

TEST_CASE("frees ask whether a block is the arena's only once it has served one", "[gate]") {
  REQUIRE(next_ready());
  REQUIRE_FALSE(bootstrap_arena.is_used());
  CHECK(fast_path.malloc == next.malloc);
  CHECK(fast_path.free == next.free);
  CHECK(fast_path.usable_size == next.malloc_usable_size);

  void* early = allocate_early(24);
  REQUIRE(bootstrap_arena.owns(early));
  CHECK(fast_path.malloc == next.malloc);
  CHECK(fast_path.usable_size.load()(early) == 24);
  fast_path.free.load()(early);  // libc would end the process
  CHECK(fast_path.usable_size.load()(nullptr) == 0);
  fast_path.free.load()(nullptr);
  void* block = fast_path.malloc.load()(100);
  CHECK(fast_path.usable_size.load()(block) >= 100);
  fast_path.free.load()(block);
}

TEST_CASE("threads that must join a session are stopped at the gate, and pass when it is over", "[gate]") {
  REQUIRE(next_ready());
  close_hook_gate_for(4711);
  CHECK(hook_gate == 4711);
  CHECK(fast_path.malloc != next.malloc);
  open_hook_gate_of(4712);  // another one's
  CHECK(hook_gate == 4711);
  CHECK(fast_path.malloc != next.malloc);
  void* block = fast_path.malloc.load()(100);  // is served nevertheless
  CHECK(block != nullptr);
  fast_path.free.load()(block);
  open_hook_gate_of(4711);
  CHECK(fast_path.malloc == next.malloc);
}

TEST_CASE("without a session no free is looked at", "[gate]") {
  const std::uint8_t* filter = fast_path.free_filter;
  REQUIRE(filter == nothing_recorded);
  std::size_t marked = 0;
  for (std::size_t i = 0; i < kFilterElements; ++i) marked += filter[i] != 0;
  CHECK(marked == 0);
}

}  // namespace
}  // namespace leakwatch::preload
