// SPDX-License-Identifier: Apache-2.0
//
// Everything that the program reads out of shared memory, by its own reader, over a region that the input has scribbled
// into: positions and words of a few rings, stacks, modules, and the header itself. What a hostile target could do
// between two passes is one round here, and there are several to an input, because the reader remembers its positions.
#include <algorithm>
#include <vector>

#include "cli/drain/module_map.h"
#include "cli/drain/ring_reader.h"
#include "cli/drain/shared_region.h"
#include "tests/fuzz/input.h"
#include "tests/unit/region_writer.h"
#include "tests/unit/take_words.h"

namespace leakwatch {
namespace {

constexpr std::uint32_t kRings = 4;
constexpr std::uint64_t kSampled = 512 * 1024;

struct Target {
  explicit Target(std::uint64_t sample_interval)
      : region({.sample_interval = sample_interval, .max_depth = 16, .seed = 1, .clock = shared::Clock::kMonotonic}) {}

  SharedRegion region;
  RegionWriter writer{region};
  const std::uint64_t ring_words = region.header().ring_words;
  const std::uint64_t stacks_words = region.header().stacks_words;
  const std::uint64_t modules_bytes = region.header().modules_bytes;
};

// One of each for the whole run: a region maps hundreds of megabytes.
Target& target(bool is_exact) {
  static Target exact(1), sampled(kSampled);
  return is_exact ? exact : sampled;
}

void scribble_ring(fuzz::Input& in, Target& t) {
  shared::Ring& ring = t.region.ring(in.below(kRings));
  const auto index = static_cast<std::uint32_t>(&ring - &t.region.ring(0));
  std::vector<std::uint64_t> words = in.words(in.below(40));
  // Half of the words begin an event, so that inputs get past the first one.
  for (std::size_t i = 0; i < words.size(); i += 2)
    if (in.flag()) words[i] = shared::event_word(fuzz::any_kind(words[i]), words[i] & 0xfff);
  t.writer.write(index, words);
  if (in.below(8) == 0) ring.write_position = ring.read_position + in.number();
  if (in.below(8) == 0) ring.read_position = in.number();
  if (in.below(8) == 0) ring.owner = in.below(4);
}

void scribble_stack(fuzz::Input& in, Target& t, std::vector<std::uint32_t>& offsets) {
  const std::uint64_t offset = in.flag() ? in.below(4096) : t.stacks_words - 64 + in.below(62);
  const std::vector<std::uint64_t> words = in.words(std::min<std::uint64_t>(in.below(24), t.stacks_words - offset));
  std::copy(words.begin(), words.end(), t.writer.stack_area() + offset);
  if (!words.empty() && in.flag()) t.writer.stack_area()[offset] = in.below(20);  // a depth that may be right
  offsets.push_back(static_cast<std::uint32_t>(offset));
}

void scribble_modules(fuzz::Input& in, Target& t) {
  shared::ModuleRecord record{};
  in.fill(&record, sizeof record);
  if (in.flag()) {
    record.segment_count %= shared::kMaxSegments + 1;
    record.build_id_size %= shared::kMaxBuildId + 1;
    record.path_size %= 40;
  }
  const std::uint64_t used = t.region.header().modules_used;
  if (used + sizeof record + 64 <= t.modules_bytes) t.writer.write_module(record, in.text(in.below(40)));
  if (in.below(8) == 0) t.region.header().modules_used = in.number();
}

void scribble_header(fuzz::Input& in, Target& t) {
  shared::Header& h = t.region.header();
  std::uint64_t* const fields[] = {&h.total_bytes, &h.sample_interval, &h.ring_words, &h.stacks_words,
                                   &h.modules_bytes};
  *fields[in.below(5)] = in.number();
  h.rings_used = static_cast<std::uint32_t>(in.number());
  h.max_depth = static_cast<std::uint32_t>(in.number());
  h.frees_are_timed = in.below(3);
  h.sole_writer = in.below(kRings + 2);
  h.joined = in.below(2);
}

// What the writer's side of the test needs must be right again when the next input begins.
void restore(Target& t) {
  shared::Header& h = t.region.header();
  h.ring_words = t.ring_words;
  h.stacks_words = t.stacks_words;
  h.modules_bytes = t.modules_bytes;
  h.modules_used = 0;
  h.frees_are_timed = h.sole_writer = h.joined = 0;
  std::vector<std::uint64_t> words;
  for (std::uint32_t i = 0; i < kRings; ++i) {
    take_words(t.region, i, words);
    t.region.ring(i).read_position = t.region.ring(i).write_position.load();
  }
}

class Reader {
 public:
  explicit Reader(Target& t) : target_(t), reader_(t.region) {}

  void pass() {
    reader_.pass(false);
    learn_stacks(offsets);
    offsets.clear();
  }

  void finish() {
    reader_.catch_up(true, [this] { return reader_.pass(true); });
    learn_stacks(reader_.heap().stacks());
    for (const HeapState::Site& site : reader_.heap().sites()) fuzz::check(site.counters.alloc_objects >= 0);
    const ThreadLedger& threads = reader_.threads();
    const ThreadCounters total = threads.total();
    fuzz::check(total.running >= 0 && total.unjoined >= 0 && total.stack_bytes >= 0);
    fuzz::check(static_cast<std::int64_t>(threads.threads().size()) == total.running + total.unjoined);
  }

  std::vector<std::uint32_t> offsets;

 private:
  void learn_stacks(const std::vector<std::uint32_t>& some) {
    for (const RawModule& module : target_.region.modules(modules_position_)) modules_.add(module);
    for (const std::uint32_t offset : some) {
      if (const auto stack = target_.region.stack(offset))
        fuzz::check(modules_.locate(*stack).size() == stack->addresses.size());
    }
  }

  Target& target_;
  RingReader reader_;
  ModuleMap modules_{{"/bin/target", "", 0, {{0x1000, 0x2000, 0}}}, "/"};
  std::uint64_t modules_position_ = 0;
};

void run(fuzz::Input in) {
  Target& t = target(in.flag());
  restore(t);
  Reader reader(t);
  for (int round = 0; round < 8 && !in.is_empty(); ++round) {
    for (std::uint64_t step = 0; step < 6; ++step) {
      switch (in.below(8)) {
        case 0:
          scribble_stack(in, t, reader.offsets);
          break;
        case 1:
          scribble_modules(in, t);
          break;
        case 2:
          if (in.below(4) == 0) scribble_header(in, t), t.region.header().ring_words = t.ring_words;
          break;
        default:
          scribble_ring(in, t);
      }
    }
    reader.pass();
  }
  reader.finish();
}

}  // namespace
}  // namespace leakwatch

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  leakwatch::run(leakwatch::fuzz::Input(data, size));
  return 0;
}
