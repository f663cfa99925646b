// SPDX-License-Identifier: Apache-2.0
//
// See the header. Called on a thread of the program's own that was stopped somewhere and made to call: not in its
// allocator and not in its loader, and nothing more is known. So all asynchronous signals wait until we are through,
// errno stays as it was, and our own hooks take the thread for one that is inside a hook.
//
// Order. Slots are patched before the session begins and restored after it has ended: a block that was recorded by way
// of one module could otherwise be freed by way of another that nobody watches yet, and would be a leak for ever.

#include "preload/attach.h"

#include <signal.h>

#include <cerrno>
#include <cstring>

#include "preload/clock.h"
#include "preload/complex_unwind.h"
#include "preload/connect.h"
#include "preload/environment.h"
#include "preload/fork_guard.h"
#include "preload/interpose_table.h"
#include "preload/next.h"
#include "preload/own_object.h"
#include "preload/own_state.h"
#include "preload/private_memory.h"
#include "preload/ring_writer.h"
#include "preload/session_start.h"
#include "preload/slot_patcher.h"
#include "preload/system.h"
#include "preload/thread_state.h"
#include "preload/watched_call.h"

#define LEAKWATCH_EXPORT extern "C" __attribute__((visibility("default")))

LEAKWATCH_EXPORT int leakwatch_attach(const char* socket_path);
LEAKWATCH_EXPORT int leakwatch_detach();

namespace leakwatch::preload {

namespace {

using attach::Outcome;
using attach::Phase;

constexpr std::uint64_t kWaitForHooksNs = 20'000'000;

attach::State& state = leakwatch_own_state;
SlotPatcher patcher;
Hook hooks[kMostHooks];
std::size_t hook_count;

// Where things are in this process, from one look at its modules.
struct Surroundings {
  std::uint64_t allocator = 0;  // load address of the first module that defines malloc
  bool have_allocator = false;
  bool is_ours = false;
  bool is_executable = false;
  bool is_libc = false;
  bool other_object_watches = false;
  char own_path[256] = {};
};
Surroundings surroundings;

bool is_our_module(const LoadedModule& module) {
  return module.contains(reinterpret_cast<std::uintptr_t>(__ehdr_start));
}
bool is_loader(const LoadedModule& module) {
  return module.find("__tls_get_addr") != 0;
}

bool watches(const LoadedModule& module) {
  const auto* other = reinterpret_cast<const attach::State*>(module.find(attach::kStateName));
  return other != nullptr && other->magic == attach::kMagic && other->session.load(std::memory_order_acquire) != 0 &&
         other->process.load(std::memory_order_relaxed) == static_cast<std::uint32_t>(system_call(SYS_getpid));
}

// libc's own calls of malloc are patched like everybody's, as strdup and getline work on the program's blocks. Only an
// allocator that is a library of its own keeps its slots: what it calls of itself is its own affair.
bool is_wanted(const LoadedModule& module) {
  return !is_our_module(module) && !is_loader(module) &&
         (surroundings.is_libc || module.bias() != surroundings.allocator);
}

bool may_be_original(const LoadedModule& module) {
  return !is_our_module(module);
}

void look_around() {
  surroundings = {};
  bool is_first = true;
  const auto look = [&is_first](const LoadedModule& module, const char* path) {
    const bool is_executable = is_first;
    is_first = false;
    if (is_our_module(module)) {
      if (std::strlen(path) < sizeof surroundings.own_path) std::strcpy(surroundings.own_path, path);
    } else if (watches(module)) {
      surroundings.other_object_watches = true;
    }
    if (surroundings.have_allocator || module.find("malloc") == 0 || is_loader(module)) return;
    surroundings.have_allocator = true;
    surroundings.allocator = module.bias();
    surroundings.is_ours = is_our_module(module);
    surroundings.is_executable = is_executable;
    surroundings.is_libc = module.find("__libc_start_main") != 0;
  };
  auto pass_on = [&look](const dl_phdr_info& info) { look(LoadedModule(info), info.dlpi_name); };
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* argument) {
        (*static_cast<decltype(pass_on)*>(argument))(*info);
        return 0;
      },
      &pass_on);
}

// Looks at the modules, unless the program is in the middle of a fork.
template <class Look>
Outcome with_modules(Look look) {
  if (!fork_guard.begin_look()) return Outcome::kBusy;
  const Outcome outcome = look();
  fork_guard.end_look();
  return outcome;
}

SlotPatcher::Job job() {
  return {hooks, hook_count, is_wanted};
}

void publish(const SlotPatcher::Counts& counts) {
  state.slots_patched.store(counts.patched, std::memory_order_relaxed);
  state.slots_refused.store(counts.refused, std::memory_order_relaxed);
  state.modules_unready.store(counts.unready, std::memory_order_relaxed);
}

// Again each time: a library that brings some of them may have been loaded meanwhile.
void find_functions() {
  hook_count = list_own_functions(hooks);
  find_originals(hooks, hook_count, may_be_original);
  set_next_functions(hooks, hook_count);
  open_hook_gate();
}

// Of an object that was loaded late: the allocator is found and our hooks lead to it. Nothing leads to our hooks yet.
Outcome find_allocator() {
  look_around();
  if (surroundings.other_object_watches) return Outcome::kOtherObject;
  if (is_preloaded()) return Outcome::kDone;
  if (!surroundings.have_allocator) return Outcome::kNoAllocator;
  if (surroundings.is_executable) return Outcome::kAllocatorInExecutable;
  find_functions();
  return Outcome::kDone;
}

Outcome patch_slots() {
  if (is_preloaded()) return Outcome::kDone;
  const SlotPatcher::Counts counts = patcher.patch(job());
  publish(counts);
  return counts.patched != 0 ? Outcome::kDone : Outcome::kNothingPatched;
}

Outcome restore_slots() {
  if (is_preloaded()) return Outcome::kDone;
  SlotPatcher::Counts counts = patcher.restore(job());
  counts.patched = counts.refused;
  publish(counts);
  return Outcome::kDone;
}

Outcome begin_session(const char* socket_path) {
  if (const SessionHold session; session && !reader_is_gone(*session)) return Outcome::kAlreadyWatched;
  register_with_libc();
  const Outcome found = with_modules(find_allocator);
  if (found != Outcome::kDone) return found;
  const bool have_libunwind = open_libunwind();
  const Connection connection = connect_to_leakwatch(socket_path);
  if (static_cast<handshake::Answer>(connection.welcome.answer) != handshake::Answer::kWatch)
    return Outcome::kNoConnection;
  if (connection.memory == nullptr) return Outcome::kNoMemory;
  connection.memory->has_libunwind.store(have_libunwind ? 1 : 2);
  Session* session = prepare_session(connection.memory);
  if (session == nullptr) return Outcome::kNoMemory;
  const Outcome patched = with_modules(patch_slots);
  if (patched != Outcome::kDone) {
    take_down_sessions();
    return patched;
  }
  remember_ourselves(surroundings.own_path, socket_path);
  activate_session(*session, true);
  state.attaches.fetch_add(1, std::memory_order_relaxed);
  return Outcome::kDone;
}

Outcome wait_for_hooks() {
  const std::uint64_t give_up = monotonic_ns() + kWaitForHooksNs;
  std::uint32_t left;
  while ((left = take_down_sessions()) != 0 && monotonic_ns() < give_up) nap();
  state.sessions_kept.store(left, std::memory_order_relaxed);
  return left == 0 ? Outcome::kDone : Outcome::kHooksInFlight;
}

Outcome end_session() {
  if (const SessionHold session; session) session->end(shared::End::kDetached);
  const Outcome restored = with_modules(restore_slots);
  if (restored != Outcome::kDone) return restored;
  state.detaches.fetch_add(1, std::memory_order_relaxed);
  return wait_for_hooks();
}

using SignalSet = std::uint64_t;  // the kernel's
constexpr SignalSet only(int number) {
  return SignalSet{1} << (number - 1);
}
// Those that speak of the thread's own faults, and the one with which glibc has each thread follow a setuid: whoever
// calls that waits for all of them.
constexpr int kFollowSetuid = 33;
constexpr SignalSet kLeftOpen =
    only(SIGSEGV) | only(SIGBUS) | only(SIGFPE) | only(SIGILL) | only(SIGTRAP) | only(SIGSYS) | only(kFollowSetuid);

// What both functions have around them.
class Call {
 public:
  Call() : began_ns_(monotonic_ns()) {
    set_signal_mask(~kLeftOpen, &mask_);
    is_nested_ = thread_state.busy || thread_state.own_call != ThreadState::OwnCall::kNone;
    if (is_nested_) return;
    thread_state.busy = true;
    thread_state.own_call = ThreadState::OwnCall::kMade;
  }
  ~Call() {
    if (!is_nested_) {
      thread_state.own_call = ThreadState::OwnCall::kNone;
      thread_state.busy = false;
    }
    set_signal_mask(mask_, nullptr);
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  bool is_nested() const { return is_nested_; }

  int finish(Outcome outcome) const {
    state.outcome.store(static_cast<std::uint32_t>(outcome), std::memory_order_relaxed);
    state.last_call_ns.store(monotonic_ns() - began_ns_, std::memory_order_relaxed);
    state.calls.fetch_add(1, std::memory_order_release);
    return static_cast<int>(outcome);
  }

 private:
  static void set_signal_mask(SignalSet wanted, SignalSet* before) {
    system_call(SYS_rt_sigprocmask, SIG_SETMASK, as_argument(&wanted), as_argument(before), sizeof wanted);
  }

  const ErrnoScope errno_scope_;
  const std::uint64_t began_ns_;
  SignalSet mask_ = 0;
  bool is_nested_;
};

Phase phase() {
  return static_cast<Phase>(state.phase.load(std::memory_order_acquire));
}

bool enter(Phase from, Phase to) {
  auto expected = static_cast<std::uint32_t>(from);
  return state.phase.compare_exchange_strong(expected, static_cast<std::uint32_t>(to), std::memory_order_acq_rel);
}

void leave(Phase to) {
  state.phase.store(static_cast<std::uint32_t>(to), std::memory_order_release);
}

// A child inherits the state of a process that may have been in the middle of something, on a thread that the child
// does not have.
void own_up() {
  const auto self = static_cast<std::uint32_t>(system_call(SYS_getpid));
  if (state.process.exchange(self, std::memory_order_acq_rel) == self) return;
  state.session.store(0, std::memory_order_relaxed);
  const Phase before = phase();
  if (before == Phase::kAttaching || before == Phase::kDetaching)
    leave(state.slots_patched.load() != 0 ? Phase::kAttached : Phase::kAsleep);
}

// A look at what was loaded meanwhile.
Outcome look_again() {
  if (!enter(Phase::kAttached, Phase::kAttaching)) return Outcome::kNotAttached;
  const Outcome outcome = with_modules([] {
    if (!is_preloaded()) find_functions();
    return patch_slots();
  });
  leave(Phase::kAttached);
  return outcome;
}

Outcome attach_to(const char* socket_path) {
  const Phase before = phase();
  if (before == Phase::kAttaching || before == Phase::kDetaching || !enter(before, Phase::kAttaching))
    return Outcome::kBusy;
  const Outcome outcome = begin_session(socket_path);
  if (outcome == Outcome::kAlreadyWatched)
    leave(before);
  else if (outcome != Outcome::kDone)  // slots of an earlier session stay until somebody detaches
    leave(state.slots_patched.load() != 0 ? Phase::kAttached : Phase::kFailed);
  return outcome;
}

Outcome detach() {
  const Phase before = phase();
  if (before == Phase::kAttaching || before == Phase::kDetaching) return Outcome::kBusy;
  if (before == Phase::kDetached) return wait_for_hooks();
  if (before != Phase::kAttached) return Outcome::kNotAttached;
  if (!enter(before, Phase::kDetaching)) return Outcome::kBusy;
  const Outcome outcome = end_session();
  leave(outcome == Outcome::kBusy ? Phase::kAttached : Phase::kDetached);
  return outcome;
}

}  // namespace

bool is_preloaded() {
  if (!surroundings.have_allocator) look_around();
  return surroundings.is_ours;
}

attach::Outcome answer_wake_call(const WakeCall& call) {
  if (call.action == wake::Action::kDetach) return static_cast<Outcome>(leakwatch_detach());
  if (call.action != wake::Action::kAttach || call.socket[0] != '/') return Outcome::kNoConnection;
  return static_cast<Outcome>(leakwatch_attach(call.socket));
}

}  // namespace leakwatch::preload

LEAKWATCH_EXPORT int leakwatch_attach(const char* socket_path) {
  using namespace leakwatch::preload;
  const Call call;
  if (call.is_nested()) return call.finish(Outcome::kInsideHook);
  own_up();
  return call.finish(socket_path != nullptr ? attach_to(socket_path) : look_again());
}

LEAKWATCH_EXPORT int leakwatch_detach() {
  using namespace leakwatch::preload;
  const Call call;
  if (call.is_nested()) return call.finish(Outcome::kInsideHook);
  own_up();
  return call.finish(detach());
}
