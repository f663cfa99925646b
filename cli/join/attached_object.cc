// SPDX-License-Identifier: Apache-2.0
//
// See the header. Nothing here waits for a thread of the process but for a bounded time, and none is stopped for longer
// than it takes to set its registers.

#include "cli/join/attached_object.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <array>
#include <chrono>
#include <cstring>
#include <thread>

#include "cli/base/error.h"
#include "cli/join/object_delivery.h"
#include "cli/join/preload_object.h"
#include "symbolize/file_identity.h"
#include "symbolize/process_memory.h"

namespace leakwatch {

namespace {

using attach::Outcome;
using State = RemoteCallResult::State;

constexpr int kRefused = 126;
constexpr std::chrono::seconds kPatience{10};
constexpr std::chrono::milliseconds kPatienceToLook{200};  // there is a next time
constexpr int kBeginnings = 5;
constexpr int kAttempts = 50;
constexpr std::chrono::milliseconds kBetweenAttempts{20};

[[noreturn]] void refuse(pid_t pid, const std::string& why) {
  throw Error(fmt::format("cannot attach to process {}: {}", pid, why), kRefused);
}

}  // namespace

std::string_view words_for(Outcome outcome) {
  switch (outcome) {
    case Outcome::kDone:
      return "";
    case Outcome::kBusy:
    case Outcome::kInsideHook:
      return "it was busy attaching, detaching or forking all the time";
    case Outcome::kAlreadyWatched:
      return "a session runs in it already";
    case Outcome::kNotAttached:
      return "it is not attached";
    case Outcome::kOtherObject:
      return "another copy of leakwatch's object watches it";
    case Outcome::kNoAllocator:
      return "none of its modules defines malloc";
    case Outcome::kAllocatorInExecutable:
      return "its executable brings its own malloc: calls of it inside the executable cannot be seen. Start it with "
             "'leakwatch run' instead";
    case Outcome::kNoConnection:
      return "it could not reach leakwatch's socket in time: a sandbox may forbid it, or the machine be too busy";
    case Outcome::kNoMemory:
      return "it could not map the shared memory; an address space limit (ulimit -v) may be in the way";
    case Outcome::kNothingPatched:
      return "none of its modules calls the allocator in a way that can be changed";
    case Outcome::kHooksInFlight:
      return "a thread is still inside of a hook";
  }
  return "it said something unknown";
}

AttachedObject::AttachedObject(const AttachFacts& facts)
    : facts_(facts), remote_(facts.pid, facts.root), modules_(facts.pid) {}

void refuse_other_version(const AttachFacts& facts) {
  if (!facts.object || facts.object->build_id == build_id_of(preload_object(facts.own_operators))) return;
  refuse(facts.pid, fmt::format("it has another version of leakwatch's object loaded ({}). Use the leakwatch that it "
                                "came with, or restart the program",
                                facts.object->path));
}

void AttachedObject::load() {
  refuse_other_version(facts_);
  if (facts_.object) return;
  const std::string object = preload_object(facts_.own_operators);
  const std::uint64_t open = remote_.find_function(ModuleRole::kLibc, "dlopen");
  if (open == 0) refuse(facts_.pid, "its libc has no dlopen");
  ObjectDelivery delivery(facts_, object, remote_);
  constexpr std::uint64_t kMode = RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE;
  const RemoteCallResult result = remote_.call(open, {delivery.path(), kMode}, kPatience);
  const bool is_under_way = result.state == State::kBegun;
  if (!is_under_way) delivery.withdraw();  // not from under a loader that is still at it
  if (result.state != State::kReturned) {
    refuse(facts_.pid, is_under_way ? "it did not load the object in time" : result.reason);
  }
  if (function(attach::kAttachFunction) == 0)
    refuse(facts_.pid, fmt::format("its loader refused {}: a sandbox or a limit may be in the way", delivery.path()));
}

std::uint64_t AttachedObject::function(const char* name) {
  return remote_.find_function(ModuleRole::kOwn, name);
}

void AttachedObject::begin(const std::string& socket) {
  socket_ = socket;
  beginnings_left_ = kBeginnings;
  begin_again();
}

void AttachedObject::begin_again() {
  --beginnings_left_;
  known_modules_ = module_list();
  const RemoteCallResult result = remote_.begin(function(attach::kAttachFunction), {socket_}, kPatience);
  if (result.state != State::kBegun && result.state != State::kReturned) refuse(facts_.pid, result.reason);
  is_beginning_ = true;
}

std::string AttachedObject::failure() {
  if (!is_beginning_ || !remote_.has_returned()) return {};
  is_beginning_ = false;
  const Outcome outcome = report().value_or(Report{}).outcome;
  if (outcome == Outcome::kDone) return {};
  if ((outcome == Outcome::kBusy || outcome == Outcome::kInsideHook) && beginnings_left_ > 0) {
    begin_again();
    return {};
  }
  return fmt::format("cannot attach to process {}: {}", facts_.pid, words_for(outcome));
}

bool AttachedObject::is_beginning(std::chrono::milliseconds patience) {
  if (is_beginning_) remote_.wait_for_return(RemoteCall::Clock::now() + patience);
  return is_beginning_ && !remote_.has_returned();
}

std::optional<AttachedObject::Report> AttachedObject::report() {
  modules_.refresh();
  const LoadedModule* own = modules_.with_role(ModuleRole::kOwn);
  const LoadedSymbol* symbol = own == nullptr ? nullptr : own->exports.find(attach::kStateName);
  if (symbol == nullptr) return {};
  std::array<char, sizeof(attach::State)> bytes{};
  if (read_process_memory(facts_.pid, symbol->address, bytes.data(), bytes.size()) != bytes.size()) return {};
  std::uint64_t magic = 0;
  Report report;
  std::memcpy(&magic, bytes.data(), sizeof magic);
  std::memcpy(&report.outcome, bytes.data() + offsetof(attach::State, outcome), sizeof report.outcome);
  std::memcpy(&report.modules_unready, bytes.data() + offsetof(attach::State, modules_unready),
              sizeof report.modules_unready);
  if (magic != attach::kMagic) return {};
  return report;
}

std::vector<std::string> AttachedObject::module_list() {
  modules_.refresh();
  std::vector<std::string> list;
  for (const LoadedModule* module : modules_.all()) list.push_back(fmt::format("{:x} {}", module->start, module->path));
  return list;
}

void AttachedObject::tend() {
  if (is_beginning_) return;
  std::vector<std::string> now = module_list();
  if (now == known_modules_ && !owes_look_) return;
  const std::uint64_t attach = function(attach::kAttachFunction);
  if (attach == 0) return;  // another program by now
  const RemoteCallResult call = remote_.call(attach, {std::uint64_t{0}}, kPatienceToLook);
  const Report told = report().value_or(Report{});
  owes_look_ = call.state != State::kReturned || told.outcome != Outcome::kDone || told.modules_unready != 0;
  known_modules_ = std::move(now);
}

// Again while it is busy, in all for a bounded time. A process that has become another program has nothing of ours to
// undo.
std::string AttachedObject::end() {
  Outcome outcome = Outcome::kBusy;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const std::uint64_t detach = function(attach::kDetachFunction);
    if (detach == 0) return {};
    const RemoteCallResult call = remote_.call(detach, {}, kPatience);
    if (call.state == State::kGone) return {};
    if (call.state != State::kReturned) return call.reason.empty() ? "the call did not return in time" : call.reason;
    outcome = report().value_or(Report{}).outcome;
    if (outcome != Outcome::kBusy && outcome != Outcome::kInsideHook && outcome != Outcome::kHooksInFlight) break;
    std::this_thread::sleep_for(kBetweenAttempts);
  }
  // Hooks that are still under way finish by themselves, in memory that stays for them.
  if (outcome == Outcome::kDone || outcome == Outcome::kHooksInFlight) return {};
  return std::string(words_for(outcome));
}

}  // namespace leakwatch
