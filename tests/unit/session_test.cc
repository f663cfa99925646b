// SPDX-License-Identifier: Apache-2.0
//
// Snapshots of a session of which the test writes the target's side.
#include "cli/session/session.h"

#include <unistd.h>

#include <memory>
#include <optional>

#include "preload/clock.h"
#include "tests/unit/catch.h"
#include "tests/unit/region_writer.h"

namespace leakwatch {
namespace {

constexpr std::uint64_t kMain = 0x555500000000, kLibrary = 0x7f0000000000;
constexpr std::uint32_t kFirst = 1, kSecond = 101;  // where stacks lie

class Target {
 public:
  Target() {
    auto region = std::make_unique<SharedRegion>(
        RegionSettings{.sample_interval = 1, .max_depth = 16, .seed = 1, .clock = best_clock()});
    region_ = region.get();
    ProcessFacts facts;
    facts.pid = getpid();
    facts.executable.path = "/usr/bin/server";
    facts.executable.segments = {{kMain, kMain + 0x10000, 0}};
    session_ = std::make_unique<Session>(std::move(region), std::move(facts), std::vector<std::string>{});
    writer_.emplace(*region_);
  }

  Session& session() { return *session_; }

  void write_stack(std::uint32_t offset, const std::vector<std::uint64_t>& return_addresses) {
    writer_->write_stack(offset, 0, return_addresses);
  }
  void allocate(std::uint32_t stack) {
    const std::uint64_t address = 16 * ++blocks_;
    writer_->write(
        1, {shared::event_word(shared::EventKind::kAllocate, address), now(region_->settings().clock), 64, stack});
  }
  void load_library() {
    const std::string path = "/usr/lib/libextra.so";
    shared::ModuleRecord record{};
    record.start = kLibrary;
    record.limit = kLibrary + 0x10000;
    record.path_size = static_cast<std::uint32_t>(path.size());
    writer_->write_module(record, path);
  }

 private:
  SharedRegion* region_ = nullptr;
  std::unique_ptr<Session> session_;
  std::optional<RegionWriter> writer_;
  std::uint64_t blocks_ = 0;
};

TEST_CASE("snapshots hold the stacks that they have in common together") {
  Target target;
  target.write_stack(kFirst, {kMain + 0x101, kMain + 0x201});
  target.write_stack(kSecond, {0x1235, kMain + 0x201});  // made at run time: it never belongs to a module
  target.allocate(kFirst);
  target.allocate(kSecond);
  const HeapSnapshot first = target.session().snapshot(), second = target.session().snapshot();
  REQUIRE(first.stacks.size() == 2);
  CHECK(first.stacks[0] == StackTrace{{kMain + 0x100, 0}, {kMain + 0x200, 0}});
  CHECK(first.stacks[1] == StackTrace{{0x1234, CodeAddress::kNoModule}, {kMain + 0x200, 0}});
  REQUIRE(second.stacks.size() == 2);
  CHECK(&first.stacks[0] == &second.stacks[0]);
  CHECK(&first.stacks[1] == &second.stacks[1]);
}

TEST_CASE("a module that is announced late gives new snapshots its frames, and old ones stay as they were") {
  Target target;
  target.write_stack(kFirst, {kLibrary + 0x101});
  target.allocate(kFirst);
  const HeapSnapshot before = target.session().snapshot();
  target.load_library();
  const HeapSnapshot after = target.session().snapshot();
  CHECK(before.stacks[0] == StackTrace{{kLibrary + 0x100, CodeAddress::kNoModule}});
  CHECK(after.stacks[0] == StackTrace{{kLibrary + 0x100, 1}});
  CHECK(before.modules.size() == 1);
  REQUIRE(after.modules.size() == 2);
  CHECK(after.modules[1].path == "/usr/lib/libextra.so");
}

}  // namespace
}  // namespace leakwatch
