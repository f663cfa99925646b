// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "cli/join/sleeping_object.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "cli/join/attached_object.h"
#include "cli/process/process.h"

namespace leakwatch {

namespace {

using attach::Outcome;

constexpr int kBeginnings = 5;
constexpr std::chrono::seconds kPatience{2};
constexpr std::chrono::milliseconds kBetweenLooks{10};
constexpr std::chrono::milliseconds kToBegin{50};  // from reading a call to saying so

bool may_be_tried_again(Outcome outcome) {
  return outcome == Outcome::kBusy || outcome == Outcome::kInsideHook || outcome == Outcome::kNoConnection ||
         outcome == Outcome::kHooksInFlight;
}

}  // namespace

SleepingObject::SleepingObject(const AttachFacts& facts, std::vector<WakePage> pages)
    : facts_(facts), pages_(std::move(pages)) {}

void SleepingObject::begin(const std::string& socket) {
  socket_ = socket;
  beginnings_left_ = kBeginnings;
  is_beginning_ = true;
  call(wake::Action::kAttach);
}

void SleepingObject::call(wake::Action action) {
  const std::uint32_t process = own_thread_number(facts_.pid, facts_.pid);
  for (WakePage& page : pages_) page.call(process, action, action == wake::Action::kAttach ? socket_ : std::string());
}

void SleepingObject::stop_calling() {
  for (WakePage& page : pages_) page.withdraw();
}

std::optional<Outcome> SleepingObject::answer() const {
  for (const WakePage& page : pages_) {
    if (const auto answer = page.answer()) return answer;
  }
  return {};
}

bool SleepingObject::is_taken() const {
  return std::any_of(pages_.begin(), pages_.end(), [](const WakePage& page) { return page.is_taken(); });
}

std::string SleepingObject::failure() {
  const auto outcome = is_beginning_ ? answer() : std::nullopt;
  if (!outcome) return {};
  stop_calling();
  is_beginning_ = false;
  if (*outcome == Outcome::kDone) return {};
  if (!may_be_tried_again(*outcome) || --beginnings_left_ == 0)
    return fmt::format("cannot attach to process {}: {}", facts_.pid, words_for(*outcome));
  is_beginning_ = true;
  call(wake::Action::kAttach);
  return {};
}

bool SleepingObject::is_beginning(std::chrono::milliseconds patience) {
  const auto give_up = Clock::now() + patience;
  while (is_beginning_ && !answer() && Clock::now() < give_up) std::this_thread::sleep_for(kBetweenLooks);
  return is_beginning_ && !answer();
}

// Once taken, the same call would only find the process at it.
void SleepingObject::tend() {
  if (!is_beginning_ || is_taken()) return;
  for (WakePage& page : pages_) page.call_again();
}

bool SleepingObject::withdraw() {
  for (WakePage& page : pages_) page.silence();
  std::this_thread::sleep_for(kToBegin);
  if (is_taken()) return false;
  stop_calling();
  is_beginning_ = false;
  return true;
}

// The call stays when we go, as nobody else will make it.
std::string SleepingObject::end() {
  if (is_beginning_ && withdraw()) return {};
  is_beginning_ = false;
  call(wake::Action::kDetach);
  for (const auto give_up = Clock::now() + kPatience; Clock::now() < give_up;) {
    const auto outcome = answer();
    if (outcome && !may_be_tried_again(*outcome)) {
      stop_calling();
      // Not attached: it has ended by itself, or is another program by now.
      if (*outcome == Outcome::kDone || *outcome == Outcome::kNotAttached) return {};
      return fmt::format("could not be put to sleep: {}", words_for(*outcome));
    }
    if (is_ending(facts_.pid)) return {};
    std::this_thread::sleep_for(kBetweenLooks);
    if (outcome) {
      stop_calling();
      call(wake::Action::kDetach);
    }
  }
  if (const WakePages now = find_wake_pages(facts_.pid); now.pages.empty() && now.obstacle.empty())
    return "is another program by now, which cannot be called; its hooks soon turn into plain calls";
  return "has not allocated anything since; it goes to sleep with its next allocations";
}

}  // namespace leakwatch
