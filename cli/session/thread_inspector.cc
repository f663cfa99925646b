// SPDX-License-Identifier: Apache-2.0
//
// See the header. A look has two rounds: all threads as they sleep, and those that must be stopped.

#include "cli/session/thread_inspector.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "cli/base/descriptor.h"
#include "cli/base/urgency.h"
#include "cli/process/system_call_names.h"
#include "cli/process/trace_permission.h"
#include "symbolize/process_memory.h"

namespace leakwatch {

namespace {

constexpr std::size_t kMostFrames = 256;
constexpr int kAttempts = 3;  // to find a thread asleep for as long as the copying takes
constexpr int kMostStretches = 32;
constexpr std::uint64_t kFirstStretch = std::uint64_t{16} << 10U;  // sleeping threads seldom have more
constexpr std::uint64_t kNextStretch = std::uint64_t{64} << 10U;

// A thread in an uninterruptible wait (a disk, a parent in vfork) does not stop before it ends. Any other stops as soon
// as it gets a processor, and until then runs as ever: it may take all the time that there is.
constexpr auto kPatienceUninterruptible = std::chrono::milliseconds(10);
constexpr auto kPatience = std::chrono::seconds(3);
constexpr std::size_t kGroup = 128;  // of threads, with up to 256 KiB of stack each

// A stop wakes a sleeping thread, has it wait in the stop, and then go on with its wait.
constexpr std::uint64_t kSleepsOfStop = 2;

constexpr std::string_view kNotPermitted = "looking into the process is not permitted";

// Outside of every system call, by the letter of ps(1).
std::string_view describe_letter(char letter) {
  switch (letter) {
    case 'R':
      return "running";
    case 'D':
      return "page fault";
    case 'T':
      return "stopped";
    case 't':
      return "traced";
    case 'Z':
    case 'X':
      return "exited";
    default:
      return "blocked";
  }
}

std::string_view note_of(UnwindEnd end) {
  switch (end) {
    case UnwindEnd::kOutermost:
      return "";
    case UnwindEnd::kDepthLimit:
      return "the stack is deeper than what is kept";
    case UnwindEnd::kUnknownCaller:
      return "no unwind information leads further";
    case UnwindEnd::kRegisterUnknown:
      return "the next frame needs a register that is not known";
    case UnwindEnd::kMemoryUnknown:
      return "the next frame is in memory that was not copied";
  }
  return "";
}

std::string_view note_of(ThreadStopResult::Kind kind) {
  switch (kind) {
    case ThreadStopResult::Kind::kRefused:
      return kNotPermitted;
    case ThreadStopResult::Kind::kNeverStopped:
      return "the thread did not stop in time";
    case ThreadStopResult::Kind::kNotAsked:
      return "too many threads were slow to stop";
    default:
      return "";
  }
}

// A process that is ending has none either, and nobody is refused anything.
bool are_maps_denied(pid_t pid) {
  const Descriptor maps(open(fmt::format("/proc/{}/maps", pid).c_str(), O_RDONLY | O_CLOEXEC));
  return !maps.is_open() && (errno == EACCES || errno == EPERM);
}

}  // namespace

ThreadInspector::ThreadInspector(pid_t pid, std::string root) : pid_(pid), unwinder_(pid, std::move(root)) {}

ThreadObservation ThreadInspector::look() {
  const Haste haste;
  ThreadObservation observation;
  began_ = Clock::now();
  const pid_t living = living_thread(pid_);
  was_refused_ = living != 0 && !unwinder_.refresh(living) && are_maps_denied(living);
  refused_thread_ = pid_;
  std::vector<Unread> unread;
  for (const pid_t tid : list_threads(pid_)) {
    ObservedThread thread;
    thread.tid = tid;
    const Outcome outcome = observe(thread);
    if (outcome == Outcome::kGone) continue;
    if (outcome != Outcome::kDone) unread.push_back({observation.threads.size(), outcome, {}, {}});
    observation.threads.push_back(std::move(thread));
  }
  const std::set<pid_t> gone = read_by_stopping(observation, unread);
  std::erase_if(observation.threads, [&gone](const ObservedThread& thread) { return gone.contains(thread.tid); });
  std::erase_if(waits_, [this](const auto& entry) { return entry.second.seen != began_; });
  observation.modules = unwinder_.modules();
  if (was_refused_) observation.refusal = explain_refusal(read_trace_facts(pid_, refused_thread_));
  observation.duration_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - began_).count();
  return observation;
}

ThreadInspector::Outcome ThreadInspector::observe(ObservedThread& thread) {
  const ThreadFiles files(pid_, thread.tid);
  thread.name = files.name();
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const auto count = files.run_count();  // before the place, so that it covers the reading of that
    const ThreadPlace place = files.place();
    const bool is_asleep = place.kind == ThreadPlace::Kind::kInCall || place.kind == ThreadPlace::Kind::kBlocked;
    if (!count || !is_asleep || place.stack_pointer == 0) return observe_awake(thread, files, place);
    UnwoundStack unwound;
    errno = 0;
    if (copy_asleep(thread.tid, files, place, *count, unwound)) {
      describe(thread, files, place);
      note_wait(thread, files, place, *count);
      keep_stack(thread, unwound);
      return unwound.end == UnwindEnd::kRegisterUnknown ? Outcome::kNeedsRegisters : Outcome::kDone;
    }
    if (errno == EPERM) return observe_awake(thread, files, {.kind = ThreadPlace::Kind::kDenied});
  }
  describe(thread, files, {.kind = ThreadPlace::Kind::kRunning});
  return Outcome::kRuns;
}

// Also where nothing is known of its sleep.
ThreadInspector::Outcome ThreadInspector::observe_awake(ObservedThread& thread, const ThreadFiles& files,
                                                        const ThreadPlace& place) {
  describe(thread, files, place);
  const bool has_no_stack = place.kind == ThreadPlace::Kind::kBlocked;
  if (thread.state == "exited" || has_no_stack) {
    if (thread.tid != pid_) return Outcome::kGone;
    thread.stack_note = "the thread has ended";  // a main thread is listed for as long as there are others
    return Outcome::kDone;
  }
  if (place.kind != ThreadPlace::Kind::kDenied) return Outcome::kRuns;
  refuse(thread);
  return Outcome::kDone;
}

void ThreadInspector::refuse(ObservedThread& thread) {
  was_refused_ = true;
  refused_thread_ = thread.tid;
  thread.stack_note = kNotPermitted;
}

// Copies and walks by turns, as most stacks need no more than their first stretch. Nothing is walked that was not
// proved to be of one moment. False when the thread ran meanwhile, or with errno set when its memory is closed to us.
bool ThreadInspector::copy_asleep(pid_t tid, const ThreadFiles& files, const ThreadPlace& place, RunCount count,
                                  UnwoundStack& unwound) {
  StackCopy copy;
  std::uint64_t next = place.stack_pointer;
  std::uint64_t size = kFirstStretch;
  for (int stretch = 0; stretch < kMostStretches; ++stretch) {
    const std::uint64_t limit = unwinder_.mapping_limit(next);
    if (limit > next) size = std::min(size, limit - next);
    std::vector<char> bytes(size);
    bytes.resize(read_process_memory(tid, next, bytes.data(), size));
    if (bytes.empty() && errno == EPERM) return false;
    const bool is_end = bytes.size() < sizeof(std::uint64_t);
    copy.add(next, std::move(bytes));
    errno = 0;
    if (files.run_count() != count) return false;
    unwound = unwind_asleep(tid, place, copy);
    if (unwound.end != UnwindEnd::kMemoryUnknown || is_end) return true;
    next = unwound.missing;
    size = kNextStretch;
  }
  return true;
}

UnwoundStack ThreadInspector::unwind_asleep(pid_t tid, const ThreadPlace& place, const StackCopy& copy) {
  UnwoundStack unwound = unwinder_.unwind(registers_of(place), copy, kMostFrames);
  if (unwound.end != UnwindEnd::kRegisterUnknown) return unwound;
  const auto known = waits_.find(tid);
  if (known == waits_.end()) return unwound;
  // A thread that stands where it was stopped, over the same bytes as far as the walk went, has the same frames.
  const Wait& wait = known->second;
  const bool is_same_place = wait.registers.pc() == place.pc && wait.registers.stack_pointer() == place.stack_pointer &&
                             copy.agrees(wait.stack, place.stack_pointer, wait.reach);
  return is_same_place ? unwinder_.unwind(wait.registers, copy, kMostFrames) : unwound;
}

void ThreadInspector::describe(ObservedThread& thread, const ThreadFiles& files, const ThreadPlace& place) const {
  thread.waits_on.clear();
  thread.wait_channel = place.kind == ThreadPlace::Kind::kRunning ? std::string() : files.wait_channel();
  if (place.kind == ThreadPlace::Kind::kInCall) {
    const SystemCallWords call = describe_system_call(place.call);
    thread.state = call.is_a_restart ? describe_wait_channel(thread.wait_channel) : call.words;
    if (thread.state.empty()) thread.state = call.words;
    if (thread.state.empty()) thread.state = fmt::format("system call {}", place.call);
    if (call.has_descriptor) thread.waits_on = files.descriptor_kind(place.arguments[0]);
    return;
  }
  const char letter = files.state();
  const bool is_denied_asleep = place.kind == ThreadPlace::Kind::kDenied && (letter == 'S' || letter == 'D');
  thread.state = letter == '\0' ? "exited" : is_denied_asleep ? "sleeping" : describe_letter(letter);
  // Between two looks at it a thread may have gone to sleep or woken up.
  if (place.kind == ThreadPlace::Kind::kRunning && letter != '\0') thread.state = "running";
}

void ThreadInspector::note_wait(ObservedThread& thread, const ThreadFiles& files, const ThreadPlace& place,
                                RunCount count) {
  const auto now = Clock::now();
  Wait& wait = waits_[thread.tid];
  if (!is_same_wait(wait, files, place, count)) wait.since = now;
  wait.sleeps_when_resumed.reset();
  wait.place = place;
  wait.count = count;
  wait.seen = began_;
  thread.waiting_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(now - wait.since).count();
}

// A stop breaks a wait and the kernel makes it again, perhaps under another number. To the program it is still the same
// if the thread has not begun any other since; how often it ran says nothing on a busy machine. A wait that ended in
// the very moment of the stop passes for the next one.
bool ThreadInspector::is_same_wait(const Wait& wait, const ThreadFiles& files, const ThreadPlace& place,
                                   RunCount count) {
  if (wait.place == place && wait.count == count) return true;
  const bool is_there_again = place.pc == wait.place.pc && place.stack_pointer == wait.place.stack_pointer;
  return is_there_again && wait.sleeps_when_resumed && files.sleeps() == wait.sleeps_when_resumed;
}

// In groups, as the copies of a group are held until all of it go on again. Returns those that are gone.
std::set<pid_t> ThreadInspector::read_by_stopping(ThreadObservation& observation, const std::vector<Unread>& unread) {
  std::set<pid_t> gone;
  const auto until = Clock::now() + kPatience;
  for (std::size_t begin = 0; begin < unread.size(); begin += kGroup) {
    std::vector<Unread> group;
    std::vector<ThreadStopRequest> requests;
    for (std::size_t i = begin; i < std::min(begin + kGroup, unread.size()); ++i) {
      ObservedThread& thread = observation.threads[unread[i].index];
      Unread now = unread[i];
      if (now.outcome == Outcome::kRuns) now.outcome = observe(thread);  // it may sleep by now
      if (now.outcome == Outcome::kGone) gone.insert(thread.tid);
      if (now.outcome == Outcome::kGone || now.outcome == Outcome::kDone) continue;
      requests.push_back(request_for(thread, now));
      group.push_back(now);
    }
    const std::vector<ThreadStopResult> stops = read_stopped(pid_, unwinder_, requests, until);
    for (std::size_t i = 0; i < stops.size(); ++i) {
      ObservedThread& thread = observation.threads[group[i].index];
      if (!take_over(stops[i], group[i], thread)) gone.insert(thread.tid);
    }
  }
  return gone;
}

ThreadStopRequest ThreadInspector::request_for(const ObservedThread& thread, Unread& unread) const {
  const ThreadFiles files(pid_, thread.tid);
  const bool is_uninterruptible = files.state() == 'D';
  unread.sleeps = files.sleeps();
  unread.count = files.run_count();
  return {thread.tid, is_uninterruptible ? Clock::duration(kPatienceUninterruptible) : kPatience};
}

// False when the thread is gone.
bool ThreadInspector::take_over(const ThreadStopResult& stop, const Unread& unread, ObservedThread& thread) {
  if (stop.kind == ThreadStopResult::Kind::kGone) return false;
  if (stop.kind == ThreadStopResult::Kind::kRefused) refuse(thread);
  if (stop.kind != ThreadStopResult::Kind::kRead) {
    thread.stack_note = note_of(stop.kind);
    return true;
  }
  const UnwoundStack unwound = unwinder_.unwind(stop.registers, stop.stack, kMostFrames);
  thread.was_stopped = true;
  thread.was_stopped_asleep = unread.outcome == Outcome::kNeedsRegisters;
  thread.stopped_ns = stop.stopped_ns;
  if (thread.was_stopped_asleep) {
    remember_registers(thread.tid, stop, unwound);
    Wait& wait = waits_[thread.tid];
    if (unread.sleeps && unread.count == wait.count) wait.sleeps_when_resumed = *unread.sleeps + kSleepsOfStop;
  }
  keep_stack(thread, unwound);
  return true;
}

void ThreadInspector::remember_registers(pid_t tid, const ThreadStopResult& stop, const UnwoundStack& unwound) {
  Wait& wait = waits_[tid];
  const bool is_where_it_slept =
      stop.registers.pc() == wait.place.pc && stop.registers.stack_pointer() == wait.place.stack_pointer;
  wait.reach = is_where_it_slept ? unwound.reach : 0;
  wait.registers = stop.registers;
  wait.stack = stop.stack.portion(stop.registers.stack_pointer(), wait.reach);
}

void ThreadInspector::keep_stack(ObservedThread& thread, const UnwoundStack& unwound) const {
  thread.stack.clear();
  for (const UnwoundFrame& frame : unwound.frames) {
    const bool is_known = frame.module != UnwoundFrame::kNoModule;
    thread.stack.push_back({frame.address, is_known ? frame.module : CodeAddress::kNoModule});
  }
  thread.stack_note = note_of(unwound.end);
}

}  // namespace leakwatch
