// SPDX-License-Identifier: Apache-2.0
//
// reader rate LIVE RINGS EVENTS      how many events a second one core reads, with LIVE live blocks
// reader growth LIVE RINGS           what a live block takes, and how long a pass takes, while LIVE blocks come to live
// reader snapshot LIVE STACKS        how long a snapshot takes, and the profile that is made of it
//
// The events are made up here and written into real rings until these are full; then the reader takes them, and only
// that is timed, in processor time of this thread. Prints a line of JSON; times in seconds, memory in bytes.

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cli/base/gzip.h"
#include "cli/drain/ring_reader.h"
#include "cli/process/process.h"
#include "cli/profile/heap_profile.h"
#include "cli/session/session.h"
#include "symbolize/symbol_service.h"
#include "tests/bench/processor_time.h"

namespace {

using leakwatch::RingReader;
using leakwatch::SharedRegion;
using leakwatch::shared::EventKind;

constexpr std::uint32_t kStacks = 2500;
constexpr std::uint32_t kDepth = 24;
constexpr std::uint32_t kSnapshotRings = 4;

double processor_seconds() {
  return processor_time() / 1e9;
}

// Without the shared memory, which is the target's.
double own_bytes() {
  std::ifstream file("/proc/self/status");
  std::string word;
  double kibibytes = 0;
  while (file >> word) {
    if (word == "RssAnon:") file >> kibibytes;
  }
  return kibibytes * 1024;
}

class Random {
 public:
  std::uint64_t operator()() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_ * 0x2545f4914f6cdd1d;
  }
  std::uint64_t below(std::uint64_t limit) {
    __extension__ using Wide = unsigned __int128;
    return static_cast<std::uint64_t>((Wide{(*this)()} * limit) >> 64);
  }

 private:
  std::uint64_t state_ = 88172645463325252;
};

// Writes events into the first `rings` rings that have an owner, each into any of them: the worst that many busy
// threads can do to a reader that has to bring them into order.
class Target {
 public:
  Target(SharedRegion& region, std::uint32_t rings, std::uint32_t stacks)
      : region_(region),
        clock_(region.settings().clock),
        words_(region.header().ring_words),
        rings_(rings),
        stacks_(stacks) {
    base_ = reinterpret_cast<std::uint64_t*>(reinterpret_cast<char*>(&region.header()) + region.header().words_offset);
    positions_.resize(rings + 1);
    region.header().rings_used = rings + 1;
  }

  // False when the ring that would have been next has no room.
  bool has_room() const {
    return positions_[next_ring_] + leakwatch::shared::kMostWords -
               region_.ring(next_ring_).read_position.load(std::memory_order_acquire) <=
           words_;
  }

  // A stack's blocks are of some two or three classes.
  void allocate(std::uint64_t address) {
    const std::uint64_t which = random_.below(stacks_);
    const std::uint64_t size = 16 + which * 37 % 480 + random_.below(32);
    put(leakwatch::shared::event_word(EventKind::kSmallAllocate, address));
    put(leakwatch::now(clock_));
    put(size | stack_offset(which) << leakwatch::shared::kStackShift);
    end_event();
  }

  void free(std::uint64_t address) {
    const bool is_timed = positions_[next_ring_] % leakwatch::shared::kTimedFreeEvery == 0;
    put(leakwatch::shared::event_word(is_timed ? EventKind::kFree : EventKind::kUntimedFree, address));
    if (is_timed) put(leakwatch::now(clock_));
    end_event();
  }

  void publish() {
    for (std::uint32_t i = 1; i <= rings_; ++i)
      region_.ring(i).write_position.store(positions_[i], std::memory_order_release);
  }

  static std::uint64_t stack_offset(std::uint64_t which) {
    return 1 + which * (leakwatch::shared::kStackHeaderWords + kDepth);
  }

  Random& random() { return random_; }

 private:
  void put(std::uint64_t word) {
    base_[next_ring_ * words_ + (positions_[next_ring_] & (words_ - 1))] = word;
    ++positions_[next_ring_];
  }
  void end_event() { next_ring_ = 1 + static_cast<std::uint32_t>(random_.below(rings_)); }

  SharedRegion& region_;
  const leakwatch::shared::Clock clock_;
  std::uint64_t* base_ = nullptr;
  const std::uint64_t words_;
  const std::uint32_t rings_;
  const std::uint64_t stacks_;
  std::vector<std::uint64_t> positions_;
  std::uint32_t next_ring_ = 1;
  Random random_;
};

// Where an allocator might put block `number`, of a heap that is larger than the blocks in it: no two are at one place.
std::uint64_t address_of(std::uint64_t number) {
  return 0x5555'5555'0010 + number * 272;
}

leakwatch::RegionSettings exact() {
  return {.sample_interval = 1, .max_depth = 128, .seed = 1, .clock = leakwatch::best_clock()};
}

struct Passes {
  double seconds = 0;
  double longest = 0;
  std::uint64_t events = 0;

  // All that is in the rings.
  void all(RingReader& reader, Target& target) {
    target.publish();
    reader.catch_up(false, [&] {
      const double begin = processor_seconds();
      const RingReader::Pass pass = reader.pass(false);
      const double took = processor_seconds() - begin;
      events += pass.events;
      seconds += took;
      longest = std::max(longest, took);
      return pass;
    });
  }
};

// Blocks of a heap, of which any live one may be freed next, and any free place be taken.
class Blocks {
 public:
  explicit Blocks(std::uint64_t live) : live_(live), numbers_(live + live / 8 + 1) {
    for (std::uint64_t i = 0; i < numbers_.size(); ++i) numbers_[i] = static_cast<std::uint32_t>(i);
  }
  std::uint64_t at(std::uint64_t index) const { return address_of(numbers_[index]); }

  // One block dies and another comes to live.
  std::pair<std::uint64_t, std::uint64_t> exchange(Random& random) {
    std::uint32_t& dies = numbers_[random.below(live_)];
    std::uint32_t& lives = numbers_[live_ + random.below(numbers_.size() - live_)];
    std::swap(dies, lives);
    return {address_of(lives), address_of(dies)};
  }

 private:
  const std::uint64_t live_;
  std::vector<std::uint32_t> numbers_;
};

int rate(std::uint64_t live, std::uint32_t rings, std::uint64_t events) {
  SharedRegion region(exact());
  RingReader reader(region);
  Target target(region, rings, kStacks);
  Blocks blocks(live);
  Passes begin, settled;
  for (std::uint64_t i = 0; i < live; ++i) {
    if (!target.has_room()) begin.all(reader, target);
    target.allocate(blocks.at(i));
  }
  begin.all(reader, target);
  const auto write = [&](std::uint64_t dies, std::uint64_t lives) {
    while (!target.has_room()) settled.all(reader, target);
    dies != 0 ? target.free(dies) : target.allocate(lives);
  };
  while (settled.events < events) {
    const auto [dies, lives] = blocks.exchange(target.random());
    // As in a program, nobody can tell whether an allocation or a free comes next.
    const bool is_free_first = target.random().below(2) == 0;
    write(is_free_first ? dies : 0, lives);
    write(is_free_first ? 0 : dies, lives);
  }
  settled.all(reader, target);
  const leakwatch::HeapState& heap = reader.heap();
  if (heap.live_blocks() != live || heap.unknown_frees() + heap.implied_frees() + reader.bad_records() != 0) {
    std::fprintf(stderr, "reader: %llu live blocks were counted\n",
                 static_cast<unsigned long long>(heap.live_blocks()));
    return 1;
  }
  fmt::print(R"({{"events": {}, "seconds": {:.6f}, "longest_pass": {:.6f}}})"
             "\n",
             settled.events, settled.seconds, settled.longest);
  return 0;
}

// The table of blocks doubles at least once in the latter half of it.
int growth(std::uint64_t live, std::uint32_t rings) {
  SharedRegion region(exact());
  RingReader reader(region);
  Target target(region, rings, kStacks);
  const double before = own_bytes();
  Passes passes;
  double least = std::numeric_limits<double>::max(), most = 0;
  for (std::uint64_t i = 0; i < live; ++i) {
    target.allocate(address_of(i));
    if (target.has_room() && i + 1 < live) continue;
    passes.all(reader, target);
    if (i < live / 2) continue;
    const double each = (own_bytes() - before) / static_cast<double>(i + 1);
    least = std::min(least, each);
    most = std::max(most, each);
  }
  fmt::print(R"({{"events": {}, "seconds": {:.6f}, "longest_pass": {:.6f}, "least": {:.2f}, "most": {:.2f}}})"
             "\n",
             passes.events, passes.seconds, passes.longest, least, most);
  return 0;
}

// Return addresses all over this program's own code, some thousands of them, so that there are symbols to know.
void write_stacks(SharedRegion& region, const leakwatch::Module& module, std::uint32_t stacks) {
  constexpr std::uint64_t kCalls = 8000;
  Random random;
  auto* area =
      reinterpret_cast<std::uint64_t*>(reinterpret_cast<char*>(&region.header()) + region.header().stacks_offset);
  const leakwatch::Segment& code = module.segments.front();
  for (std::uint64_t i = 0; i < stacks; ++i) {
    std::uint64_t* entry = area + Target::stack_offset(i);
    reinterpret_cast<leakwatch::shared::StackHeader*>(entry)->depth = kDepth;
    for (std::uint32_t frame = 0; frame < kDepth; ++frame)
      entry[leakwatch::shared::kStackHeaderWords + frame] =
          code.start + 1 + (code.limit - code.start - 1) / kCalls * random.below(kCalls);
  }
}

// For how long a snapshot keeps the reader from reading, in processor time.
double pause_of_snapshot(std::uint64_t live, std::uint32_t stacks) {
  SharedRegion region(exact());
  RingReader reader(region);
  Target target(region, kSnapshotRings, stacks);
  Passes passes;
  for (std::uint64_t i = 0; i < live; ++i) {
    if (!target.has_room()) passes.all(reader, target);
    target.allocate(address_of(i));
  }
  passes.all(reader, target);
  double least = std::numeric_limits<double>::max();
  for (int i = 0; i < 5; ++i) {
    const double begin = processor_seconds();
    const std::vector<leakwatch::HeapState::Site> sites = reader.heap().sites();
    least = std::min(least, processor_seconds() - begin);
  }
  return least;
}

// Through a session, as a service is watched. What is not timed: draining, and the first look for each symbol.
int snapshot(std::uint64_t live, std::uint32_t stacks) {
  auto owned = std::make_unique<SharedRegion>(exact());
  SharedRegion& region = *owned;
  leakwatch::ProcessFacts facts = leakwatch::read_process_facts(getpid());
  write_stacks(region, facts.executable, stacks);
  Target target(region, kSnapshotRings, stacks);
  leakwatch::Session session(std::move(owned), std::move(facts), {});
  for (std::uint64_t i = 0; i < live; ++i) {
    for (; !target.has_room(); std::this_thread::yield()) target.publish();
    target.allocate(address_of(i));
  }
  target.publish();
  leakwatch::SymbolService symbols;
  const leakwatch::SymbolLookup lookup{
      [&](const leakwatch::Module& module, std::uint64_t address) -> const std::vector<leakwatch::Frame>& {
        return symbols.frames(module, address);
      },
      [&](const leakwatch::Module& module) { return symbols.source(module); }};
  session.tend(symbols);
  leakwatch::build_heap_profile(session.snapshot(), lookup, leakwatch::HeapProfileKind::kHeap);

  struct Times {
    double copy, profile, compressed;
  };
  std::vector<Times> rounds;
  std::size_t samples = 0, bytes = 0;
  for (int i = 0; i < 5; ++i) {
    const double begin = processor_seconds();
    const leakwatch::HeapSnapshot taken = session.snapshot();
    const double copied = processor_seconds();
    const std::string profile = leakwatch::build_heap_profile(taken, lookup, leakwatch::HeapProfileKind::kHeap);
    const double built = processor_seconds();
    leakwatch::gzip(profile, leakwatch::Compression::kSmall);
    rounds.push_back({copied - begin, built - copied, processor_seconds() - built});
    samples = taken.samples.size();
    bytes = profile.size();
    if (leakwatch::total(taken).inuse_objects != static_cast<std::int64_t>(live)) return 1;
  }
  const auto median = [&](double Times::*which) {
    std::sort(rounds.begin(), rounds.end(), [=](const Times& a, const Times& b) { return a.*which < b.*which; });
    return rounds[rounds.size() / 2].*which;
  };
  fmt::print(R"({{"samples": {}, "bytes": {}, "copy": {:.6f}, "profile": {:.6f}, "gzip": {:.6f}, "pause": {:.6f}}})"
             "\n",
             samples, bytes, median(&Times::copy), median(&Times::profile), median(&Times::compressed),
             pause_of_snapshot(live, stacks));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 3 ? argv[1] : "";
  const auto number = [&](int i) { return i < argc ? std::strtoull(argv[i], nullptr, 10) : 0; };
  if (what == "rate") return rate(number(2), static_cast<std::uint32_t>(number(3)), number(4));
  if (what == "growth") return growth(number(2), static_cast<std::uint32_t>(number(3)));
  if (what == "snapshot") return snapshot(number(2), static_cast<std::uint32_t>(number(3)));
  std::fprintf(stderr, "reader: what is it to measure? See the top of reader.cc.\n");
  return 2;
}
