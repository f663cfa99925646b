// SPDX-License-Identifier: Apache-2.0
//
// From words to events. The words were copied out of the shared memory before, so that the target cannot change them
// between the check and the use.

#include "cli/event.h"

#include <algorithm>
#include <array>

namespace leakwatch {

namespace {

// Four bits for each kind: of how many words it is, 0 for what is no kind.
constexpr std::uint64_t kKinds = 16;
constexpr std::uint64_t kWords = [] {
  std::uint64_t words = 0;
  for (std::uint64_t kind = 0; kind < kKinds; ++kind)
    words |= std::uint64_t{shared::words_of(static_cast<shared::EventKind>(kind))} << 4 * kind;
  return words;
}();

// What of the words that follow the first belongs to an event of a kind, and how the event is called.
struct Form {
  std::uint64_t second, third, third_high, fourth;  // masks
  std::uint32_t step;                               // mask
  shared::EventKind as;
};
constexpr std::array<Form, kKinds> kForms = [] {
  constexpr std::uint64_t kAll = ~std::uint64_t{0}, kLow = shared::kSmallBytes - 1;
  std::array<Form, kKinds> forms{};
  for (std::uint64_t i = 0; i < kKinds; ++i) {
    const auto kind = static_cast<shared::EventKind>(i);
    const std::uint32_t words = shared::words_of(kind);
    forms[i] = {words >= 2 ? kAll : 0, words == 4 ? kAll : 0, 0, words == 4 ? kLow : 0, 0, kind};
    if (kind == shared::EventKind::kAllocate) forms[i].step = ~std::uint32_t{0};
    if (kind == shared::EventKind::kSmallAllocate) forms[i] = {kAll, kLow, kLow, 0, 0, shared::EventKind::kAllocate};
    if (kind == shared::EventKind::kUntimedFree) forms[i].as = shared::EventKind::kFree;
  }
  return forms;
}();

// Of the event that begins at `words`, of which there are kMostWords. No branches on its kind: which is next is hard to
// guess.
class Decoder {
 public:
  explicit Decoder(const std::uint64_t* words)
      : words_(words),
        // Where the next event begins depends on this alone.
        count_(kWords >> (words[0] >> (shared::kKindShift - 2) & 4 * (kKinds - 1)) & 15),
        form_(kForms[words[0] >> shared::kKindShift & (kKinds - 1)]),
        step_(static_cast<std::uint32_t>(words[3] >> shared::kStepShift) & form_.step) {}

  bool is_sound() const {
    return (words_[0] >> shared::kKindShift < kKinds) & (count_ != 0) && shared::is_interval_step(step_);
  }
  std::size_t count() const { return count_; }  // of its words
  // `time` is that of the event in front of it.
  Event event(std::uint64_t time) const {
    return {
        words_[0] & shared::kAddressMask,
        (words_[1] & form_.second) | (time & ~form_.second),
        words_[2] & form_.third,
        static_cast<std::uint32_t>((words_[3] & form_.fourth) | (words_[2] >> shared::kStackShift & form_.third_high)),
        form_.as,
        static_cast<std::uint8_t>(step_)};
  }

 private:
  const std::uint64_t* words_;
  std::uint64_t count_;
  const Form& form_;
  std::uint32_t step_;
};

}  // namespace

std::size_t decode_events(std::span<const std::uint64_t> words, std::uint64_t& time, std::vector<Event>& events) {
  // Twice as much at least: what waits to be merged may be much more than what has come.
  const std::size_t most = events.size() + words.size();
  if (most > events.capacity()) events.reserve(std::max(most, 2 * events.capacity()));
  std::array<Event, 64> some;  // as a vector that grows by one keeps its length in memory
  std::size_t used = 0;
  std::uint64_t last_time = time;
  bool is_sound = true;
  while (is_sound && words.size() - used >= shared::kMostWords) {
    std::size_t count = 0;
    do {
      const Decoder decoder(&words[used]);
      is_sound = decoder.is_sound();
      if (!is_sound) [[unlikely]]
        break;
      some[count] = decoder.event(last_time);
      last_time = some[count++].time;
      used += decoder.count();
    } while (count != some.size() && words.size() - used >= shared::kMostWords);
    events.insert(events.end(), some.begin(), some.begin() + count);
  }
  while (is_sound && used != words.size()) {
    const std::size_t left = words.size() - used;
    std::uint64_t last[shared::kMostWords] = {};
    std::copy_n(&words[used], left, last);
    const Decoder decoder(last);
    is_sound = decoder.is_sound() && decoder.count() <= left;
    if (!is_sound) break;
    events.push_back(decoder.event(last_time));
    last_time = events.back().time;
    used += decoder.count();
  }
  time = last_time;
  return used;
}

}  // namespace leakwatch
