// SPDX-License-Identifier: Apache-2.0
//
// The arena that serves the first allocations of a process: what it hands out, what it recognises, and how it ends.
#include "preload/bootstrap_arena.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>
#include <thread>
#include <vector>

#include "tests/unit/catch.h"

namespace leakwatch::preload {
namespace {

std::uintptr_t number(const void* pointer) {
  return reinterpret_cast<std::uintptr_t>(pointer);
}

TEST_CASE("blocks of the arena are zeroed, aligned, disjoint and know their size") {
  auto arena = std::make_unique<BootstrapArena>();
  const char* end = nullptr;
  for (const std::size_t size : {1, 0, 16, 17, 100, 4096, 7}) {
    auto* block = static_cast<char*>(arena->allocate(size));
    REQUIRE(block != nullptr);
    CHECK(number(block) % 16 == 0);
    CHECK(arena->size_of(block) == size);
    CHECK(std::all_of(block, block + size, [](char c) { return c == 0; }));
    if (end != nullptr) CHECK(block >= end);
    std::memset(block, 0xff, size);
    end = block + size;
  }
}

TEST_CASE("every power of two is an alignment that the arena can serve") {
  for (std::size_t alignment = 1; alignment <= 16384; alignment *= 2) {
    auto arena = std::make_unique<BootstrapArena>();
    arena->allocate(1);
    const void* block = arena->allocate(24, alignment);
    REQUIRE(block != nullptr);
    CHECK(number(block) % alignment == 0);
    CHECK(arena->size_of(block) == 24);
    CHECK(arena->owns(block));
  }
}

TEST_CASE("the arena knows its own blocks and no others") {
  auto arena = std::make_unique<BootstrapArena>();
  const auto elsewhere = std::make_unique<char>();
  CHECK(arena->owns(arena->allocate(8)));
  CHECK_FALSE(arena->owns(elsewhere.get()));
  CHECK_FALSE(arena->owns(nullptr));
  CHECK_FALSE(arena->owns(arena.get() + 1));
  CHECK_FALSE(arena->owns(reinterpret_cast<const void*>(number(arena.get()) - 1)));
}

TEST_CASE("an arena that is used up hands out null and stays within itself") {
  auto arena = std::make_unique<BootstrapArena>();
  const char* last = nullptr;
  std::size_t blocks = 0;
  while (const void* block = arena->allocate(1000)) {
    last = static_cast<const char*>(block);
    ++blocks;
  }
  CHECK(blocks >= BootstrapArena::kBytes / 1024 - 1);
  CHECK(arena->owns(last + 999));
  CHECK(arena->allocate(1000) == nullptr);
}

TEST_CASE("a request that is larger than the arena is refused") {
  auto arena = std::make_unique<BootstrapArena>();
  constexpr std::size_t kMost = std::numeric_limits<std::size_t>::max();
  for (const std::size_t size : {BootstrapArena::kBytes, BootstrapArena::kBytes + 1, kMost, kMost - 15})
    CHECK(arena->allocate(size) == nullptr);
  CHECK(arena->allocate(8, BootstrapArena::kBytes * 2) == nullptr);
  CHECK(arena->allocate(8, std::size_t{1} << 63) == nullptr);
  CHECK(arena->allocate(8) != nullptr);
}

TEST_CASE("threads that allocate at once get blocks of their own") {
  auto arena = std::make_unique<BootstrapArena>();
  std::vector<std::vector<void*>> blocks(4);
  std::vector<std::thread> threads;
  for (auto& mine : blocks) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) mine.push_back(arena->allocate(40));
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<void*> all;
  for (const auto& mine : blocks) all.insert(all.end(), mine.begin(), mine.end());
  std::sort(all.begin(), all.end());
  CHECK(all.front() != nullptr);
  std::size_t overlapping = 0;
  for (std::size_t i = 1; i < all.size(); ++i) overlapping += number(all[i]) < number(all[i - 1]) + 40;
  CHECK(overlapping == 0);
}

}  // namespace
}  // namespace leakwatch::preload
