// SPDX-License-Identifier: Apache-2.0
//
// The reader's end of the shared memory, first with an honest writer and then with one that scribbles: positions that
// run away, stacks and modules that reach beyond their area, a header that lies. The reader keeps its own copy of every
// size, so a lie may cost the liar's data and nothing else.
#include "cli/drain/shared_region.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <limits>

#include "tests/unit/catch.h"
#include "tests/unit/region_writer.h"
#include "tests/unit/take_words.h"

namespace leakwatch {
namespace {

using Words = std::vector<std::uint64_t>;

RegionSettings sampled() {
  return {.sample_interval = 512 * 1024, .max_depth = 8, .seed = 5, .clock = shared::Clock::kMonotonic};
}

Words counting(std::uint64_t first, std::size_t count) {
  Words words(count);
  for (std::size_t i = 0; i < count; ++i) words[i] = first + i;
  return words;
}

shared::ModuleRecord record_of(const std::string& path) {
  shared::ModuleRecord record{};
  record.start = 0x1000;
  record.limit = 0x2000;
  record.path_size = static_cast<std::uint32_t>(path.size());
  return record;
}

TEST_CASE("a new region says what it was asked for and where its areas lie") {
  for (const std::uint64_t interval : {std::uint64_t{1}, std::uint64_t{512 * 1024}}) {
    SharedRegion region({.sample_interval = interval, .max_depth = 64, .seed = 9, .clock = shared::Clock::kTsc});
    const shared::Header& h = region.header();
    CHECK(h.magic == shared::kMagic);
    CHECK(h.version == shared::kVersion);
    CHECK(h.sample_interval == interval);
    CHECK(h.max_depth == 64);
    CHECK(h.seed == 9);
    CHECK(h.clock == static_cast<std::uint32_t>(shared::Clock::kTsc));
    CHECK(h.stacks_used == 1);
    CHECK((h.ring_words & (h.ring_words - 1)) == 0);
    CHECK(h.rings_offset >= sizeof(shared::Header));
    CHECK(h.words_offset >= h.rings_offset + h.ring_count * sizeof(shared::Ring));
    CHECK(h.stacks_offset >= h.words_offset + h.ring_count * h.ring_words * 8);
    CHECK(h.modules_offset >= h.stacks_offset + h.stacks_words * 8);
    CHECK(h.total_bytes >= h.modules_offset + h.modules_bytes);
    CHECK(region.ring(0).owner == shared::kSharedRing);
    CHECK(region.ring(1).owner == 0);
    CHECK(region.rings_used() == 1);
  }
}

TEST_CASE("the memory can be neither cut nor lengthened, and nobody can lift that") {
  SharedRegion region(sampled());
  const int seals = fcntl(region.descriptor(), F_GET_SEALS);
  CHECK((seals & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) == (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL));
  CHECK(ftruncate(region.descriptor(), 0) == -1);
  CHECK(errno == EPERM);
  struct stat status {};
  REQUIRE(fstat(region.descriptor(), &status) == 0);
  CHECK(static_cast<std::uint64_t>(status.st_size) == region.header().total_bytes);
}

TEST_CASE("the region goes on working after its descriptor was closed") {
  SharedRegion region(sampled());
  region.close_descriptor();
  CHECK(region.descriptor() == -1);
  RegionWriter(region).write(1, {1, 2});
  Words words;
  CHECK(take_words(region, 1, words));
  CHECK(words == Words{1, 2});
}

TEST_CASE("words come out as they went in, and their room is given back") {
  SharedRegion region(sampled());
  RegionWriter writer(region);
  Words words = {99};
  CHECK(take_words(region, 1, words));
  CHECK(words.empty());
  writer.write(1, {1, 2, 3});
  writer.write(2, {7});
  CHECK(take_words(region, 1, words));
  CHECK(words == Words{1, 2, 3});
  CHECK(region.ring(1).read_position == 3);
  CHECK(region.ring(2).read_position == 0);
  CHECK(take_words(region, 2, words));
  CHECK(words == Words{7});
}

TEST_CASE("words that go round the ring's end come out in order") {
  SharedRegion region(sampled());
  RegionWriter writer(region);
  const std::uint64_t size = region.header().ring_words;
  Words words;
  std::uint64_t next = 0;
  for (const std::uint64_t count : {size - 3, size, std::uint64_t{7}, size / 2, size, size - 1}) {
    writer.write(3, counting(next, count));
    CHECK(take_words(region, 3, words));
    CHECK(words == counting(next, count));
    next += count;
  }
}

TEST_CASE("a ring whose positions make no sense is emptied and works again") {
  SharedRegion region(sampled());
  RegionWriter writer(region);
  const std::uint64_t size = region.header().ring_words;
  for (const std::uint64_t wrong : {size + 1, std::uint64_t{1} << 63, std::numeric_limits<std::uint64_t>::max()}) {
    Words words = {99};
    region.ring(1).write_position = region.ring(1).read_position + wrong;
    CHECK_FALSE(take_words(region, 1, words));
    CHECK(words.empty());
    writer.write(1, {1, 2});
    CHECK(take_words(region, 1, words));
    CHECK(words == Words{1, 2});
  }
}

TEST_CASE("a write position that goes back is refused") {
  SharedRegion region(sampled());
  RegionWriter writer(region);
  Words words;
  writer.write(1, {1, 2, 3, 4});
  CHECK(take_words(region, 1, words));
  region.ring(1).write_position = 2;
  CHECK_FALSE(take_words(region, 1, words));
}

TEST_CASE("the reader does not believe its own position in the shared memory") {
  SharedRegion region(sampled());
  RegionWriter writer(region);
  Words words;
  writer.write(1, {1, 2, 3, 4});
  region.ring(1).read_position = 2;
  CHECK(take_words(region, 1, words));
  CHECK(words == Words{1, 2, 3, 4});
  CHECK(region.ring(1).read_position == 4);
}

TEST_CASE("more rings than there are cannot be claimed") {
  SharedRegion region(sampled());
  region.header().rings_used = std::numeric_limits<std::uint32_t>::max();
  CHECK(region.rings_used() == region.ring_count());
  region.header().ring_count = std::numeric_limits<std::uint32_t>::max();
  CHECK(region.rings_used() == region.ring_count());
  Words words;
  for (std::uint32_t i = 0; i < region.rings_used(); ++i) CHECK(take_words(region, i, words));
}

TEST_CASE("a header that was overwritten changes nothing for the reader") {
  SharedRegion region(sampled());
  RegionWriter writer(region);
  writer.write(1, {1, 2});
  writer.write_stack(10, 3, {4, 5});
  shared::Header& h = region.header();
  h.ring_words = h.words_offset = h.stacks_offset = h.stacks_words = h.modules_offset = h.modules_bytes =
      h.rings_offset = h.total_bytes = std::numeric_limits<std::uint64_t>::max();
  h.max_depth = h.ring_count = std::numeric_limits<std::uint32_t>::max();
  Words words;
  CHECK(take_words(region, 1, words));
  CHECK(words == Words{1, 2});
  REQUIRE(region.stack(10));
  CHECK(region.stack(10)->addresses == Words{4, 5});
  std::uint64_t position = 0;
  CHECK(region.modules(position).empty());
}

TEST_CASE("a stack is read back with its epoch") {
  SharedRegion region(sampled());
  RegionWriter writer(region);
  writer.write_stack(1, 7, {0x1000, 0x2000});
  writer.write_stack(50, 0, {});
  REQUIRE(region.stack(1));
  CHECK(region.stack(1)->epoch == 7);
  CHECK(region.stack(1)->addresses == Words{0x1000, 0x2000});
  REQUIRE(region.stack(50));
  CHECK(region.stack(50)->addresses.empty());
}

TEST_CASE("no stack has the offset of none") {
  SharedRegion region(sampled());
  CHECK_FALSE(region.stack(static_cast<std::uint32_t>(shared::kNoStack)));
}

TEST_CASE("a stack may have the session's depth and a mark, and no more") {
  SharedRegion region(sampled());
  RegionWriter writer(region);
  writer.write_stack(1, 0, Words(9, 0x1000));
  CHECK(region.stack(1));
  writer.write_stack(1, 0, Words(10, 0x1000));
  CHECK_FALSE(region.stack(1));
  const shared::StackHeader endless{0xffff'ffff, 0, 0};
  std::memcpy(writer.stack_area() + 1, &endless, sizeof endless);
  CHECK_FALSE(region.stack(1));
}

TEST_CASE("a stack that reaches beyond its area is refused") {
  SharedRegion region(sampled());
  RegionWriter writer(region);
  const std::uint64_t end = region.header().stacks_words;
  const auto stack = [&](std::uint64_t offset) { return region.stack(static_cast<std::uint32_t>(offset)); };
  writer.write_stack(end - 2, 0, {});
  CHECK(stack(end - 2));
  CHECK_FALSE(stack(end - 1));
  CHECK_FALSE(stack(end));
  CHECK_FALSE(stack(0xffff'ffff));
  writer.write_stack(end - 4, 0, {1, 2});
  CHECK(stack(end - 4));
  const shared::StackHeader one_too_many{3, 0, 0};
  std::memcpy(writer.stack_area() + end - 4, &one_too_many, sizeof one_too_many);
  CHECK_FALSE(stack(end - 4));
}

TEST_CASE("modules are read once, in order, as they are published") {
  SharedRegion region(sampled());
  RegionWriter writer(region);
  std::uint64_t position = 0;
  CHECK(region.modules(position).empty());
  writer.write_module(record_of("/lib/a.so"), "/lib/a.so");
  writer.write_module(record_of(""), "");
  const std::vector<RawModule> two = region.modules(position);
  REQUIRE(two.size() == 2);
  CHECK(two[0].path == "/lib/a.so");
  CHECK(two[1].path.empty());
  CHECK(region.modules(position).empty());
  writer.write_module(record_of("/lib/12345678"), "/lib/12345678");
  const std::vector<RawModule> third = region.modules(position);
  REQUIRE(third.size() == 1);
  CHECK(third[0].path == "/lib/12345678");
}

TEST_CASE("a module whose record or path is cut waits or is refused") {
  SharedRegion region(sampled());
  RegionWriter writer(region);
  std::uint64_t position = 0;
  writer.write_module(record_of("/lib/a.so"), "/lib/a.so");
  const std::uint64_t whole = region.header().modules_used;
  region.header().modules_used = sizeof(shared::ModuleRecord) - 1;
  CHECK(region.modules(position).empty());
  CHECK(position == 0);
  region.header().modules_used = whole - 8;
  CHECK(region.modules(position).empty());
  region.header().modules_used = whole;
  CHECK(region.modules(position).empty());  // after a record that makes no sense nothing more is found
}

TEST_CASE("a module with a count out of bounds ends the list") {
  const auto with = [](auto change) {
    SharedRegion region(sampled());
    RegionWriter writer(region);
    writer.write_module(record_of("/lib/a.so"), "/lib/a.so");
    shared::ModuleRecord record = record_of("/lib/b.so");
    change(record);
    writer.write_module(record, std::string(4200, 'x'));
    writer.write_module(record_of("/lib/c.so"), "/lib/c.so");
    std::uint64_t position = 0;
    return region.modules(position).size();
  };
  CHECK(with([](auto& r) { r.path_size = 4200; }) == 1);
  CHECK(with([](auto& r) { r.path_size = 0xffff'ffff; }) == 1);
  CHECK(with([](auto& r) { r.segment_count = shared::kMaxSegments + 1; }) == 1);
  CHECK(with([](auto& r) { r.segment_count = 0xffff'ffff; }) == 1);
  CHECK(with([](auto& r) { r.build_id_size = shared::kMaxBuildId + 1; }) == 1);
  CHECK(with([](auto& r) { r.path_size = 4096, r.segment_count = 4, r.build_id_size = 32; }) > 1);
}

TEST_CASE("a module area said to be larger than it is is read to its end only") {
  SharedRegion region(sampled());
  region.header().modules_used = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t position = 0;
  const std::vector<RawModule> modules = region.modules(position);  // records of zeroes, all the way
  CHECK(modules.size() == region.header().modules_bytes / sizeof(shared::ModuleRecord));
  CHECK(position <= region.header().modules_bytes);
  CHECK(region.modules(position).empty());
}

TEST_CASE("a module area that shrinks under the reader yields nothing") {
  SharedRegion region(sampled());
  RegionWriter writer(region);
  std::uint64_t position = 0;
  writer.write_module(record_of("/lib/a.so"), "/lib/a.so");
  CHECK(region.modules(position).size() == 1);
  region.header().modules_used = 8;
  CHECK(region.modules(position).empty());
}

TEST_CASE("both clocks rise") {
  for (const shared::Clock clock : {shared::Clock::kMonotonic, best_clock()}) {
    const std::uint64_t before = now(clock), ns = monotonic_ns();
    while (monotonic_ns() == ns) continue;
    CHECK(now(clock) > before);
  }
}

}  // namespace
}  // namespace leakwatch
