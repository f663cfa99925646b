// SPDX-License-Identifier: Apache-2.0
//
// The preload's walk against libunwind's own, frame for frame, from inside the frames of unwind_fixtures.h. libunwind
// is opened privately, as the product does it: linked in the ordinary way, it would take over this program's
// exceptions.
#include "preload/unwind.h"

#include <dlfcn.h>
#include <libunwind.h>
#include <signal.h>
#include <sys/mman.h>

#include <algorithm>
#include <functional>
#include <thread>

#include "preload/complex_unwind.h"
#include "tests/unit/catch.h"
#include "tests/unit/preload_session.h"
#include "tests/unit/unwind_fixtures.h"

namespace leakwatch {
namespace {

using Addresses = std::vector<std::uint64_t>;

constexpr std::uint32_t kDepth = 512;
constexpr auto kUnknownCaller = static_cast<std::uint64_t>(shared::Mark::kUnknownCaller);
constexpr auto kTruncated = static_cast<std::uint64_t>(shared::Mark::kTruncated);

// The functions behind libunwind.h's macros. Not unw_backtrace: it leaves a cache to each thread that calls it, whose
// destructor ThreadSanitizer does not survive.
struct Oracle {
  template <class Function>
  static void find(void* library, const char* name, Function*& function) {
    function = reinterpret_cast<Function*>(dlsym(library, name));
    REQUIRE(function != nullptr);
  }

  Oracle() {
    void* library = dlopen("libunwind.so.8", RTLD_NOW | RTLD_LOCAL);
    REQUIRE(library != nullptr);
    find(library, "_Ux86_64_getcontext", get_context);
    find(library, "_ULx86_64_init_local", init_local);
    find(library, "_ULx86_64_step", step);
    find(library, "_ULx86_64_get_reg", get_reg);
  }

  // From the caller of whoever took the context outwards. `addresses` has room.
  void walk(unw_context_t& context, Addresses& addresses) const {
    unw_cursor_t cursor;
    addresses.clear();
    if (init_local(&cursor, &context) < 0) return;
    while (addresses.size() < addresses.capacity() && step(&cursor) > 0) {
      unw_word_t pc = 0;
      get_reg(&cursor, UNW_REG_IP, &pc);
      if (pc != 0) addresses.push_back(pc);
    }
  }

  int (*get_context)(unw_tdep_context_t*);
  int (*init_local)(unw_cursor_t*, unw_context_t*);
  int (*step)(unw_cursor_t*);
  int (*get_reg)(unw_cursor_t*, int, unw_word_t*);
};

// All memory is there before a walk: some are taken in signal handlers.
struct Capture {
  explicit Capture(std::uint32_t depth = kDepth)
      : max_depth(depth), region(RegionSettings{.max_depth = depth}), session(region) {
    ours.reserve(max_depth + 1);
    theirs.reserve(kDepth * 2);
    record_room.resize(preload::WalkRecord::room_bytes(max_depth) / sizeof(std::uint64_t));
  }
  std::uint32_t max_depth;
  SharedRegion region;
  PreloadSession session;
  Oracle oracle;
  Addresses ours, theirs, record_room;
};

// Both walks, from the caller of this function outwards.
[[gnu::noinline]] void take(void* argument) {
  Capture& capture = *static_cast<Capture*>(argument);
  const auto site = preload::CallSite::of(__builtin_frame_address(0));
  unw_context_t context;
  capture.oracle.get_context(&context);
  capture.oracle.walk(context, capture.theirs);
  capture.ours.resize(capture.max_depth + 1);
  preload::WalkRecord record(capture.record_room.data(), capture.max_depth);
  capture.ours.resize(unwind(*capture.session, site, capture.ours.data(), capture.max_depth, record));
}

Addresses without_bits(Addresses addresses) {
  for (std::uint64_t& address : addresses) address &= ~shared::kInterruptedFrame;
  return addresses;
}

void check_same(const Capture& capture, std::size_t at_least) {
  CHECK(capture.ours.size() >= at_least);
  CHECK(without_bits(capture.ours) == capture.theirs);
}

// Addresses of both walks that lie in the fixtures' library or beyond, the test's own leaf frames left out.
Addresses from_fixtures_on(const Addresses& addresses) {
  const auto is_fixture = [](std::uint64_t address) {
    Dl_info info;
    return dladdr(reinterpret_cast<void*>(address), &info) != 0 && info.dli_fname != nullptr &&
           std::string(info.dli_fname).find("unwind-fixtures") != std::string::npos;
  };
  return {std::find_if(addresses.begin(), addresses.end(), is_fixture), addresses.end()};
}

TEST_CASE("a plain call is walked as libunwind walks it") {
  Capture capture;
  take(&capture);
  check_same(capture, 3);
}

TEST_CASE("deep recursion without frame pointers is walked as libunwind walks it") {
  Capture capture;
  fixtures::recurse(200, take, &capture);
  check_same(capture, 200);
}

TEST_CASE("frames of a varying size are walked as libunwind walks them") {
  for (const std::size_t bytes : {1u, 100u, 5000u, 70'000u}) {
    Capture capture;
    fixtures::with_alloca(bytes, take, &capture);
    check_same(capture, 4);
  }
}

TEST_CASE("frames that realign the stack are walked as libunwind walks them") {
  for (const std::size_t bytes : {1u, 100u, 5000u}) {
    Capture capture;
    fixtures::realigned(bytes, take, &capture);
    check_same(capture, 4);
  }
}

// The frame outside needs its rbp, which the realigned one has saved where only rbp itself tells.
TEST_CASE("a realigned frame gives its caller's frame pointer back") {
  static constexpr auto inside = [](void* c) { fixtures::realigned(40, take, c); };
  Capture capture;
  fixtures::with_alloca(200, +inside, &capture);
  check_same(capture, 6);
}

TEST_CASE("a frame that uses rbp for a number of its own is walked as libunwind walks it") {
  const std::size_t numbers[6] = {1, 2, 3, 4, 5, 6};
  Capture capture;
  fixtures::with_many_registers(numbers, take, &capture);
  check_same(capture, 4);
}

TEST_CASE("a large frame is walked as libunwind walks it") {
  Capture capture;
  fixtures::with_large_frame(take, &capture);
  check_same(capture, 4);
}

TEST_CASE("a callback of the C library is walked as libunwind walks it") {
  Capture capture;
  fixtures::through_qsort(take, &capture);
  check_same(capture, 6);
}

TEST_CASE("a signal handler is walked into the code that it interrupted") {
  Capture capture;
  fixtures::from_signal_handler(take, &capture);
  check_same(capture, 6);
  // The trampoline, to whose first instruction the handler returns, and the interrupted frame.
  const auto is_marked = [](std::uint64_t address) { return (address & shared::kInterruptedFrame) != 0; };
  CHECK(std::count_if(capture.ours.begin(), capture.ours.end(), is_marked) == 2);
  const auto trampoline = std::find_if(capture.ours.begin(), capture.ours.end(), is_marked);
  CHECK(is_marked(trampoline[1]));
}

TEST_CASE("all kinds of frames on one stack are walked as libunwind walks them") {
  struct Chain {
    Capture capture;
    std::size_t numbers[6] = {};
  } chain;
  static constexpr auto last = [](void* c) { fixtures::from_signal_handler(take, c); };
  static constexpr auto third = [](void* c) { fixtures::realigned(40, +last, c); };
  static constexpr auto second = [](void* c) { fixtures::through_qsort(+third, c); };
  static constexpr auto first = [](void* c) {
    fixtures::with_many_registers(static_cast<Chain*>(c)->numbers, +second, &static_cast<Chain*>(c)->capture);
  };
  fixtures::with_alloca(300, +first, &chain);
  check_same(chain.capture, 12);
}

TEST_CASE("another thread's stack is walked to its end") {
  Capture capture;
  std::thread([&] { fixtures::recurse(20, take, &capture); }).join();
  check_same(capture, 24);
  CHECK(capture.ours.back() > shared::kLastMark);
}

TEST_CASE("the second walk of a stack, from remembered rules, is like the first") {
  Capture capture;
  Addresses walks[2];
  for (Addresses& walk : walks) {
    fixtures::recurse(5, take, &capture);
    walk = capture.ours;
  }
  walks[0].resize(6);  // beyond is this function, which may make two different calls
  walks[1].resize(6);
  CHECK(walks[0] == walks[1]);
}

TEST_CASE("a stack deeper than the session wants is cut and marked") {
  Capture capture(10);
  fixtures::recurse(50, take, &capture);
  REQUIRE(capture.ours.size() == 11);
  CHECK(capture.ours.back() == kTruncated);
  capture.ours.pop_back();
  capture.theirs.resize(10);
  CHECK(capture.ours == capture.theirs);
}

TEST_CASE("code without unwind information ends the walk with a mark") {
  Capture capture;
  fixtures::leakwatch_fixture_without_rules(take, &capture);
  REQUIRE(capture.ours.size() == 2);
  CHECK(capture.ours[0] == capture.theirs[0]);
  CHECK(capture.ours[1] == kUnknownCaller);
}

TEST_CASE("a frame that no rule can say is walked through with libunwind") {
  REQUIRE(preload::open_libunwind());
  Capture capture;
  fixtures::leakwatch_fixture_cfa_in_rbx(take, &capture);
  const Addresses theirs = from_fixtures_on(capture.theirs);
  REQUIRE(theirs.size() >= 3);
  CHECK(from_fixtures_on(capture.ours) == theirs);
}

// libunwind finds the interrupted registers in the kernel's ucontext, which lies on the stack of the handler.
TEST_CASE("a frame that no rule can say is walked through below a signal frame as well") {
  static constexpr auto in_handler = [](void* c) { fixtures::leakwatch_fixture_cfa_in_rbx(take, c); };
  static constexpr auto outside = [](void* c) { fixtures::from_signal_handler(+in_handler, c); };
  REQUIRE(preload::open_libunwind());
  Capture capture;
  fixtures::with_alloca(200, +outside, &capture);
  const Addresses theirs = from_fixtures_on(capture.theirs);
  REQUIRE(theirs.size() >= 6);
  CHECK(without_bits(from_fixtures_on(capture.ours)) == theirs);
}

// Takes both walks in a signal handler on an alternate stack that ends `offset` bytes before a page does.
void take_on_alternate_stack(Capture& capture, std::size_t offset) {
  constexpr std::size_t kBytes = 256 * 1024;
  void* room = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(room != MAP_FAILED);
  static Capture* current;
  current = &capture;
  stack_t ours{}, before{};
  ours.ss_sp = room;
  ours.ss_size = kBytes - offset;
  sigaltstack(&ours, &before);
  struct sigaction action {
  }, old{};
  action.sa_handler = [](int) { fixtures::recurse(3, take, current); };
  action.sa_flags = SA_ONSTACK;
  sigaction(SIGUSR2, &action, &old);
  raise(SIGUSR2);
  sigaction(SIGUSR2, &old, nullptr);
  sigaltstack(&before, nullptr);
  munmap(room, kBytes);
}

// Of an alternate stack only the page is known on which the walk stands: what lies on it is right, and then comes the
// interrupted code when the signal's frame was reached, or a mark.
TEST_CASE("a walk on an alternate signal stack is right as far as it goes, and goes all the way where it can") {
  int complete = 0;
  for (std::size_t offset = 0; offset < 4096; offset += 512) {
    Capture capture;
    take_on_alternate_stack(capture, offset);
    Addresses walk = without_bits(capture.ours);
    REQUIRE(walk.size() > 2);
    if (walk.back() == kUnknownCaller) walk.pop_back();
    REQUIRE(walk.size() <= capture.theirs.size());
    CHECK(std::equal(walk.begin(), walk.end(), capture.theirs.begin()));
    complete += walk == capture.theirs;
  }
  CHECK(complete > 0);
}

TEST_CASE("the modules of a walk are announced to the reader") {
  Capture capture;
  fixtures::through_qsort(take, &capture);
  std::uint64_t position = 0;
  const std::vector<RawModule> modules = capture.region.modules(position);
  const auto covers = [](const RawModule& m, std::uint64_t address) {
    return address - 1 >= m.record.start && address - 1 < m.record.limit;
  };
  for (const std::uint64_t address : capture.ours)
    CHECK(std::count_if(modules.begin(), modules.end(), [&](const auto& m) { return covers(m, address); }) == 1);
  CHECK(std::count_if(modules.begin(), modules.end(), [](const auto& m) { return m.path.empty(); }) == 1);
  for (const RawModule& module : modules) {
    CHECK(module.record.segment_count >= 1);
    CHECK(module.record.build_id_size == 20);
  }
}

}  // namespace
}  // namespace leakwatch
