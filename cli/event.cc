// SPDX-License-Identifier: Apache-2.0
//
// From words to events. The words were copied out of the shared memory before, so that the target cannot change them
// between the check and the use.

#include "cli/event.h"

#include <algorithm>

namespace leakwatch {

namespace {

// One bit for each kind of four words, and for each kind.
constexpr std::uint64_t kinds_of(bool of_four_words_only) {
  std::uint64_t kinds = 0;
  for (std::uint64_t kind = 0; kind < 64; ++kind) {
    const std::uint32_t words = shared::words_of(static_cast<shared::EventKind>(kind));
    if (of_four_words_only ? words == 4 : words != 0) kinds |= std::uint64_t{1} << kind;
  }
  return kinds;
}
constexpr std::uint64_t kFourWords = kinds_of(true), kKnown = kinds_of(false);
static_assert(shared::kFreeWords == 2 && shared::kAllocateWords == 4);

// Of the event that begins at `words`, of which there are four. No branches on its kind: which is next is hard to
// guess.
class Decoder {
 public:
  explicit Decoder(const std::uint64_t* words)
      : words_(words), kind_(words[0] >> shared::kKindShift), is_long_(kFourWords >> (kind_ & 63) & 1) {
    const bool is_allocation = kind_ == static_cast<std::uint64_t>(shared::EventKind::kAllocate);
    step_ = words[3] >> shared::kStepShift & -std::uint64_t{is_allocation};
  }

  bool is_sound() const { return kind_ < 64 && (kKnown >> kind_ & 1) != 0 && shared::is_interval_step(step_); }
  std::size_t count() const { return 2 + 2 * is_long_; }  // of its words
  // Where it has no third and fourth word, what is there belongs to others.
  Event event() const {
    const std::uint64_t belongs = -is_long_;
    return {words_[0] & shared::kAddressMask,
            words_[1],
            words_[2] & belongs,
            static_cast<std::uint32_t>(words_[3] & belongs),
            static_cast<shared::EventKind>(kind_),
            static_cast<std::uint8_t>(step_)};
  }

 private:
  const std::uint64_t* words_;
  std::uint64_t kind_, is_long_, step_;
};

}  // namespace

std::size_t decode_events(std::span<const std::uint64_t> words, std::vector<Event>& events) {
  // Twice as much at least: what waits to be merged may be much more than what has come.
  const std::size_t most = events.size() + words.size() / 2;
  if (most > events.capacity()) events.reserve(std::max(most, 2 * events.capacity()));
  std::size_t used = 0;
  while (words.size() - used >= 4) {
    const Decoder decoder(&words[used]);
    if (!decoder.is_sound()) [[unlikely]]
      return used;
    events.push_back(decoder.event());
    used += decoder.count();
  }
  while (words.size() - used >= 2) {
    const std::uint64_t last[4] = {words[used], words[used + 1]};
    const Decoder decoder(last);
    if (!decoder.is_sound() || decoder.count() > words.size() - used) return used;
    events.push_back(decoder.event());
    used += decoder.count();
  }
  return used;
}

}  // namespace leakwatch
