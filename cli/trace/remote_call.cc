// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "cli/trace/remote_call.h"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <future>
#include <string_view>
#include <thread>
#include <utility>

#include "cli/base/error.h"
#include "cli/base/urgency.h"
#include "cli/process/stat_file.h"
#include "cli/process/status_file.h"
#include "cli/process/thread_files.h"
#include "cli/process/trace_permission.h"
#include "symbolize/process_memory.h"

namespace leakwatch {

namespace {

constexpr std::size_t kMostFrames = 1024;
constexpr std::size_t kMostStack = std::size_t{256} << 10U;
// A thread that does not stop at once waits for a processor, and runs as ever until then.
constexpr auto kPatienceToStop = std::chrono::seconds(1);
constexpr auto kFirstPause = std::chrono::milliseconds(1);
constexpr auto kLongestPause = std::chrono::milliseconds(20);
constexpr auto kPauseOfWait = std::chrono::microseconds(100);
constexpr int kRoundsBeforeLastResort = 3;

// The last function of the call overwrites this with a signal mask, and no mask has the bits of SIGKILL and SIGSTOP.
constexpr std::uint64_t kNotReturned = 0x4c57'0000'0004'0100;

// sigprocmask's argument: what the old mask is to be changed by, which is nothing.
constexpr std::uint64_t kBlock = SIG_BLOCK;

std::string bytes_of(std::uint64_t value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

// As swab(3) takes them to write them in their order.
std::string swapped_pairs(std::string bytes) {
  for (std::size_t index = 0; index + 1 < bytes.size(); index += 2) std::swap(bytes[index], bytes[index + 1]);
  return bytes;
}

std::string_view reason_of(StoppedThread::State state) {
  switch (state) {
    case StoppedThread::State::kGone:
      return "has ended";
    case StoppedThread::State::kNeverStopped:
      return "did not stop in time";
    case StoppedThread::State::kUnderSignal:
      return "was about to receive a signal";
    case StoppedThread::State::kProcessStopped:
      return "is stopped, as its whole process is; continue that with kill -CONT";
    default:
      return "";
  }
}

}  // namespace

RemoteCall::RemoteCall(pid_t pid, std::string root) : pid_(pid), safety_(pid), unwinder_(pid, std::move(root)) {}

std::uint64_t RemoteCall::find_function(ModuleRole role, std::string_view name) {
  layout_ = memory_layout(pid_);  // before the modules: they are of this program, or of a later one
  safety_.refresh();
  const LoadedModule* module = safety_.modules().with_role(role);
  const LoadedSymbol* symbol = module == nullptr ? nullptr : module->exports.find(name);
  return symbol == nullptr || !symbol->is_function ? 0 : symbol->address;
}

RemoteCallResult RemoteCall::call(std::uint64_t function, const std::vector<RemoteArgument>& arguments,
                                  Clock::duration patience) {
  const auto deadline = Clock::now() + patience;
  RemoteCallResult result = begin(function, arguments, patience);
  if (result.state == RemoteCallResult::State::kBegun && wait_for_return(deadline))
    result.state = RemoteCallResult::State::kReturned;
  return result;
}

bool RemoteCall::wait_for_return(Clock::time_point deadline) const {
  while (!has_returned()) {
    if (Clock::now() >= deadline) return false;
    std::this_thread::sleep_for(kPauseOfWait);
  }
  return true;
}

bool RemoteCall::has_returned() const {
  std::uint64_t value = 0;
  return read_process_memory(pid_, marker_, &value, sizeof value) != sizeof value || value != kNotReturned;
}

RemoteCallResult RemoteCall::begin(std::uint64_t function, const std::vector<RemoteArgument>& arguments,
                                   Clock::duration patience) {
  RemoteCallResult result;
  if (function == 0) {
    result.state = RemoteCallResult::State::kRefused;
    result.reason = "it does not have the function";
    return result;
  }
  result.reason = "it has no threads";
  const Request request{function, arguments, Clock::now() + patience};
  int round = 0;
  do {
    has_thread_on_hook_ = false;
    std::async(std::launch::async, [&] { try_rounds(request, round, result); }).get();
  } while (has_thread_on_hook_ && result.state == RemoteCallResult::State::kNoPlace && Clock::now() < request.deadline);
  if (result.state == RemoteCallResult::State::kNoPlace) {
    result.reason = fmt::format(
        "no thread of process {} came to a place in time at which it can be made to call; at the last attempt {}", pid_,
        result.reason);
  }
  return result;
}

// At least one, and until a thread makes the call or none can.
void RemoteCall::try_rounds(const Request& request, int& round, RemoteCallResult& result) {
  while (!begin_in_round(request, round, result)) {
    const auto pause = std::min<Clock::duration>(kFirstPause * (1 << std::min(round, 16)), kLongestPause);
    ++round;
    const bool is_over = result.state != RemoteCallResult::State::kNoPlace || Clock::now() + pause > request.deadline;
    if (is_over || has_thread_on_hook_) return;
    std::this_thread::sleep_for(pause);
  }
}

// True once a thread makes the call.
bool RemoteCall::begin_in_round(const Request& request, int round, RemoteCallResult& result) {
  if (!safety_.refresh() || !unwinder_.refresh()) {
    refuse(result, pid_);
    return false;
  }
  if (!safety_.libc()) {
    result.state = RemoteCallResult::State::kRefused;
    result.reason = fmt::format("process {} has no libc that leakwatch knows", pid_);
    return false;
  }
  const std::vector<Candidate> threads = candidates();
  const bool has_others = !threads.empty() && threads.front().rank < Rank::kSleepsProlonged;
  for (const Candidate& candidate : threads) {
    if (candidate.rank == Rank::kSleepsProlonged && has_others && round < kRoundsBeforeLastResort) break;
    if (round > 0 && Clock::now() > request.deadline) break;
    if (candidate.rank != Rank::kRuns && is_unsafe_asleep(candidate.tid, result)) continue;
    if (begin_on(candidate, request, result)) return true;
    if (result.state != RemoteCallResult::State::kNoPlace || has_thread_on_hook_) break;
  }
  return false;
}

std::vector<RemoteCall::Candidate> RemoteCall::candidates() const {
  std::vector<Candidate> found;
  for (const pid_t tid : list_threads(pid_)) found.push_back({tid, rank(tid)});
  std::erase_if(found, [](const Candidate& candidate) { return candidate.rank == Rank::kNever; });
  std::stable_sort(found.begin(), found.end());
  return found;
}

RemoteCall::Rank RemoteCall::rank_of(RestartEffect effect) {
  switch (effect) {
    case RestartEffect::kNone:
      return Rank::kSleeps;
    case RestartEffect::kNoneIfRepaired:
      return Rank::kSleepsRepaired;
    case RestartEffect::kBriefly:
      return Rank::kSleepsBriefly;
    case RestartEffect::kProlonged:
      return Rank::kSleepsProlonged;
    case RestartEffect::kUnknown:
      return Rank::kRuns;
  }
  return Rank::kNever;
}

RemoteCall::Rank RemoteCall::rank(pid_t tid) const {
  const ThreadFiles files(pid_, tid);
  const ThreadPlace place = files.place();
  const bool is_asleep = place.kind == ThreadPlace::Kind::kInCall;
  if (is_asleep && files.state() == 'S') return rank_of(restart_effect(place.call, place.arguments));
  // Where the kernel denies the look it will say so again when asked to stop the thread.
  const bool is_worth_a_try = is_asleep || place.kind == ThreadPlace::Kind::kRunning ||
                              place.kind == ThreadPlace::Kind::kDenied || place.kind == ThreadPlace::Kind::kBlocked;
  const char letter = files.state();
  return is_worth_a_try && (letter == 'R' || letter == 'S' || letter == 'T') ? Rank::kRuns : Rank::kNever;
}

// A look at the thread while it sleeps, so that those which cannot serve are left alone, and so that the unwind
// information has been read before the thread is stopped. What it shows is not of one moment, and decides nothing more.
bool RemoteCall::is_unsafe_asleep(pid_t tid, RemoteCallResult& result) {
  const ThreadPlace place = ThreadFiles(pid_, tid).place();
  if (place.kind != ThreadPlace::Kind::kInCall) return false;
  const UnwoundStack stack = unwinder_.unwind(registers_of(place), copy_stack(place.stack_pointer), kMostFrames);
  if (stack.end == UnwindEnd::kRegisterUnknown) return false;
  const std::string_view objection = safety_.objection(stack, place.call);
  if (objection.empty()) return false;
  result.reason = fmt::format("thread {} {}", tid, objection);
  return true;
}

bool RemoteCall::begin_on(const Candidate& candidate, const Request& request, RemoteCallResult& result) {
  const Urgency urgency;
  StoppedThread thread(candidate.tid, kPatienceToStop, observer_);
  if (thread.state() == StoppedThread::State::kRefused) refuse(result, candidate.tid);
  if (result.state != RemoteCallResult::State::kNoPlace) return false;
  has_thread_on_hook_ = thread.state() == StoppedThread::State::kNeverStopped;
  const bool has_begun =
      thread.state() == StoppedThread::State::kStopped && begin_stopped(thread, candidate, request, result);
  const std::int64_t stopped_ns = thread.let_go();
  if (stopped_ns > 0) ++result.attempts;
  result.longest_stop_ns = std::max(result.longest_stop_ns, stopped_ns);
  if (!has_begun) {
    const std::string_view reason = reason_of(thread.state());
    if (!reason.empty()) result.reason = fmt::format("thread {} {}", candidate.tid, reason);
    return false;
  }
  result.state = RemoteCallResult::State::kBegun;
  result.reason.clear();
  result.tid = candidate.tid;
  result.stopped_ns = stopped_ns;
  return true;
}

bool RemoteCall::begin_stopped(StoppedThread& thread, const Candidate& candidate, const Request& request,
                               RemoteCallResult& result) {
  const auto object = [&](std::string_view objection) {
    result.reason = fmt::format("thread {} {}", candidate.tid, objection);
    return false;
  };
  const auto context = thread.read();
  if (!context) return object("has ended");
  // From here on it cannot come to that: whoever executes another program ends this thread, also while it is stopped.
  if (memory_layout(pid_) != layout_) {
    result.state = RemoteCallResult::State::kGone;
    return object("runs another program by now");
  }
  const std::uint64_t pc = machine::pc_of(context->registers);
  const std::uint64_t stack_pointer = machine::stack_pointer_of(context->registers);
  machine::CallCode code{};
  read_process_memory(pid_, pc - machine::kCodeBeforePc, code.data(), sizeof code);
  const auto resumption = machine::find_resumption(context->registers, code, call_taken_up(context->registers, code));
  if (!resumption) return object("is in a system call that cannot be made again");
  if (resumption->effect == RestartEffect::kProlonged && candidate.rank != Rank::kSleepsProlonged)
    return object("sleeps for a time that would begin anew");
  const std::string_view reason = objection(thread, *context, machine::call_in_progress(context->registers, code));
  if (!reason.empty()) return object(reason);
  if (has_caught_signal(candidate.tid, 0)) return object("is about to receive a signal");
  const machine::CallImage call = image(*context, *resumption, request);
  const std::string_view stack_reason =
      safety_.objection_to_stack(candidate.tid, stack_pointer, context->thread_pointer, stack_pointer - call.address);
  if (!stack_reason.empty()) return object(stack_reason);
  return thread.begin(pid_, call) || object("could not be changed");
}

// `call`: the system call that the stop broke, -1 when it broke none.
std::string_view RemoteCall::objection(const StoppedThread& thread, const machine::ThreadContext& context,
                                       std::int64_t call) {
  if (call < 0 && safety_.is_in_sequence(thread.restartable_sequences(), machine::pc_of(context.registers))) {
    return "is in a restartable sequence";
  }
  const std::string_view objection = machine::objection_to_state(context, call >= 0);
  return objection.empty() ? safety_.objection(unwind(context.registers, kMostFrames), call) : objection;
}

UnwoundStack RemoteCall::unwind(const machine::Registers& registers, std::size_t max_depth) {
  return unwinder_.unwind(machine_registers(registers), copy_stack(machine::stack_pointer_of(registers)), max_depth);
}

// The function, then errno as it was, then the note that it is over.
machine::CallImage RemoteCall::image(const machine::ThreadContext& context, const machine::Resumption& resumption,
                                     const Request& request) {
  const LibcPlaces& libc = *safety_.libc();
  const std::uint64_t errno_address = context.thread_pointer + libc.errno_offset;
  std::string error_number(sizeof(int), '\0');
  read_process_memory(pid_, errno_address, error_number.data(), error_number.size());

  machine::CallImageBuilder builder(context, resumption.registers, libc.signal_return);
  marker_ = builder.add(bytes_of(kNotReturned));
  const std::uint64_t saved_errno = builder.add(swapped_pairs(error_number));
  Invocation call{request.function, {}};
  for (std::size_t index = 0; index < std::min(request.arguments.size(), call.arguments.size()); ++index) {
    const RemoteArgument& argument = request.arguments[index];
    const std::string* text = std::get_if<std::string>(&argument);
    call.arguments[index] = text != nullptr ? builder.add_text(*text) : std::get<std::uint64_t>(argument);
  }
  const std::array<Invocation, 3> calls = {
      call, {libc.swab, {saved_errno, errno_address, sizeof(int)}}, {libc.sigprocmask, {kBlock, 0, marker_}}};
  return builder.build(calls, signals_blocked_in_call());
}

// The number of a call that the kernel has taken up before; -1 when there is none, or it is not known.
std::int64_t RemoteCall::call_taken_up(const machine::Registers& registers, const machine::CallCode& code) {
  using Kind = CallNumberPlace::Kind;
  if (!machine::has_call_taken_up(registers, code)) return -1;
  const CallNumberPlace place = machine::find_call_number(code);
  if (place.kind == Kind::kUnknown) return -1;
  if (place.kind == Kind::kInCode) return place.value;
  // A walk out of two frames has read just up to where the second one was called from: there lie its arguments.
  const std::uint64_t address =
      place.kind == Kind::kOnStack ? machine::stack_pointer_of(registers) + place.value : unwind(registers, 2).reach;
  std::int64_t number = -1;
  return read_process_memory(pid_, address, &number, sizeof number) == sizeof number ? number : -1;
}

StackCopy RemoteCall::copy_stack(std::uint64_t stack_pointer) const {
  const std::uint64_t limit = unwinder_.mapping_limit(stack_pointer);
  const std::uint64_t above = limit > stack_pointer ? limit - stack_pointer : kMostStack;
  std::vector<char> bytes(std::min<std::uint64_t>(above, kMostStack));
  bytes.resize(read_process_memory(pid_, stack_pointer, bytes.data(), bytes.size()));
  StackCopy copy;
  copy.add(stack_pointer, std::move(bytes));
  return copy;
}

void RemoteCall::refuse(RemoteCallResult& result, pid_t tid) const {
  const bool is_gone = StatusFile::of_thread(pid_, tid).has_ended();
  if (is_gone && tid != pid_) return;  // the kernel's answer is the same
  if (is_gone && list_threads(pid_).size() <= 1) {
    result.state = RemoteCallResult::State::kGone;
    result.reason = fmt::format("process {} has ended", pid_);
    return;
  }
  if (is_gone) return;
  result.state = RemoteCallResult::State::kRefused;
  result.reason = explain_refusal(read_trace_facts(pid_, tid));
}

}  // namespace leakwatch
