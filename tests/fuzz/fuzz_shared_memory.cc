// SPDX-License-Identifier: Apache-2.0
//
// Everything that the program reads out of shared memory, over a region that the input has scribbled into: positions
// and words of a few rings, stacks, modules, and the header itself. What a hostile target could do between two passes
// is one round here, and there are several to an input, because the reader remembers its positions.
#include <algorithm>
#include <array>
#include <limits>

#include "cli/event_merger.h"
#include "cli/heap_state.h"
#include "cli/module_map.h"
#include "cli/shared_region.h"
#include "tests/fuzz/input.h"
#include "tests/unit/region_writer.h"
#include "tests/unit/take_words.h"

namespace leakwatch {
namespace {

constexpr std::uint32_t kRings = 4;
constexpr std::uint64_t kEnd = std::numeric_limits<std::uint64_t>::max();

struct Target {
  SharedRegion region{{.sample_interval = 512 * 1024, .max_depth = 16, .seed = 1, .clock = shared::Clock::kMonotonic}};
  RegionWriter writer{region};
  const std::uint64_t stacks_words = region.header().stacks_words;
  const std::uint64_t modules_bytes = region.header().modules_bytes;
};

// One for the whole run: a region maps hundreds of megabytes.
Target& target() {
  static Target instance;
  return instance;
}

void scribble_ring(fuzz::Input& in, Target& t) {
  shared::Ring& ring = t.region.ring(in.below(kRings));
  const auto index = static_cast<std::uint32_t>(&ring - &t.region.ring(0));
  std::vector<std::uint64_t> words = in.words(in.below(40));
  // Half of the words begin an event, so that inputs get past the first one.
  for (std::size_t i = 0; i < words.size(); i += 2)
    if (in.flag()) words[i] = shared::event_word(fuzz::heap_kind(words[i]), words[i] & 0xfff);
  t.writer.write(index, words);
  if (in.below(8) == 0) ring.write_position = ring.read_position + in.number();
  if (in.below(8) == 0) ring.read_position = in.number();
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
}

// What the writer's side of the test needs must be right again when the next input begins.
void restore(Target& t) {
  shared::Header& h = t.region.header();
  h.ring_words = 1024;
  h.stacks_words = t.stacks_words;
  h.modules_bytes = t.modules_bytes;
  h.modules_used = 0;
  std::vector<std::uint64_t> words;
  for (std::uint32_t i = 0; i < kRings; ++i) {
    take_words(t.region, i, words);
    t.region.ring(i).read_position = t.region.ring(i).write_position.load();
  }
}

class Reader {
 public:
  void pass(Target& t, std::uint64_t horizon) {
    for (std::uint32_t i = 0; i < std::min(t.region.rings_used(), kRings); ++i) {
      take_words(t.region, i, words_);
      decode_events(words_, times_[i], merger_.ring(i));
      for (const Event& event : merger_.ring(i)) offsets.push_back(event.stack);
    }
    merger_.sort_ring(0);
    heap_.expect_early_frees(horizon % 4 == 0 ? std::optional(horizon) : std::nullopt);
    merger_.merge_until(horizon, [this](std::size_t ring, const Event& event) { heap_.take(ring, event); });
    heap_.finish();
    heap_.settle_early_frees(horizon / 2);
    for (const RawModule& module : t.region.modules(modules_position_)) modules_.add(module);
    for (const std::uint32_t offset : offsets) {
      if (const auto stack = t.region.stack(offset))
        fuzz::check(modules_.locate(*stack).size() == stack->addresses.size());
    }
    offsets.clear();
  }

  void finish() {
    merger_.merge_until(kEnd, [this](std::size_t ring, const Event& event) { heap_.take(ring, event); });
    heap_.finish();
    fuzz::check(merger_.waiting() == 0);
    for (const HeapState::Site& site : heap_.sites()) fuzz::check(site.counters.alloc_objects >= 0);
  }

  std::vector<std::uint32_t> offsets;

 private:
  std::vector<std::uint64_t> words_;
  std::array<std::uint64_t, kRings> times_{};
  EventMerger merger_;
  HeapState heap_{512 * 1024};
  ModuleMap modules_{{"/bin/target", "", 0, {{0x1000, 0x2000, 0}}}, "/"};
  std::uint64_t modules_position_ = 0;
};

void run(fuzz::Input in) {
  Target& t = target();
  restore(t);
  Reader reader;
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
          if (in.below(4) == 0) scribble_header(in, t), t.region.header().ring_words = 1024;
          break;
        default:
          scribble_ring(in, t);
      }
    }
    reader.pass(t, in.number());
  }
  reader.finish();
}

}  // namespace
}  // namespace leakwatch

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  leakwatch::run(leakwatch::fuzz::Input(data, size));
  return 0;
}
