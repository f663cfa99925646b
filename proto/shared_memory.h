// SPDX-License-Identifier: Apache-2.0
//
// The shared memory between one watched process (the writer) and leakwatch (the reader).
//
// Goals: a process killed at any instant loses nothing that it had published; a thread that stops allocating hides
// nothing; the steady state of the writer makes no system call. Hence plain memory rather than send(): the pages
// outlive the process, and publishing is one release store.
//
// One sealed memfd, created, sized and sealed by the reader, mapped by both, laid out as
//
//   Header            settings, the reader's sign of life, the writer's counters
//   Ring[ring_count]  positions and owner of each event ring; ring 0 is shared by threads that found none free
//   words of ring 0, words of ring 1, ...      ring_words each
//   stack area        stacks, append-only:  StackHeader, then `depth` addresses, leaf first
//   module area       modules, append-only: ModuleRecord, then the path's bytes, padded to 8
//
// The file is sparse: what nobody touched costs nothing. What the target touches is charged to the target, so areas
// fill from their start.
//
// Trust: the reader copies first and validates after. The writer checks the settings once when it maps them (the
// interval's step each time). What else it reads back (positions, the heartbeat, what one of both says of how frees and
// allocations are to be written) leads it nowhere outside of the memory, whatever it is.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace leakwatch::shared {

inline constexpr std::uint64_t kMagic = 0x3148435457'4b4c01;  // "\1LKWTCH1", little-endian on every machine we run on
inline constexpr std::uint32_t kVersion = 6;

// --- events ---------------------------------------------------------------------------------------------------------
//
// An event is one to four 64-bit words in a ring of words; it may wrap around the ring's end between any two words.
//
//   kind                word 0, low 56 bits   word 1   word 2                            word 3, low 32 bits
//   kAllocate           address of the block  time     bytes that the program asked for  stack; above it: interval step
//   kSmallAllocate      address of the block  time     the same; above it: stack
//   kUntimedAllocate    address of the block  the same as word 2 of kSmallAllocate
//   kFree               address of the block  time
//   kUntimedFree        address of the block
//   kReallocFree        address of the block  time
//   kReallocFailed      address of the block  time
//   kThreadCreate       token                 time     start routine                     stack
//   kThreadAttributes   token                 time     bytes of stack | kDetachedThread  bytes of guard
//   kThreadNotCreated   token                 time
//   kThreadStart        token                 time     handle (pthread_t)                thread id
//   kThreadEnd          token                 time
//   kThreadRelease      handle (pthread_t)    time     time when the call began          ThreadRelease
//
// Word 0 has the kind in its upper 8 bits. Times are ticks of the clock named by Header::clock. A stack is the offset
// of a StackHeader, in words. A token is a number that the writer gives to each thread it sees being created.
//
// Order of the events of one address. A free is stamped and published before the real free, an allocation after the
// real allocation and before the program learns the address. So each event of an address is published before the next
// one of that address is even stamped. A reader that notes the time T and then looks at every ring has therefore seen
// all the predecessors of every event stamped before T, and may process those in the order of their stamps.
//
// A time stamp costs as much as all else of a free. An untimed one came after the event in front of it in its ring, and
// before the ring was looked at: it may be processed too early, before its block's own allocation. That makes no
// difference as long as no block is freed whose allocation was not written, and every free is, since the events of an
// address alternate then: a free that finds no block belongs to an allocation that is still to come, and when that
// comes both are done with. So they are written in exact mode only, by the owner of a ring, and while
// Header::frees_are_timed is 0. A free at each kTimedFreeEvery-th word is timed, so that few seem much older than they
// are.
//
// An allocation may not be processed before the free that came before it, as then the next free would be taken for its
// own. But a thread that is the only one to write for a while needs no time stamps: what it writes is in order. So the
// reader, when it has seen events of one ring only for some time, says in Header::sole_writer that this ring is to be
// the sole one; and, kSoleGraceNs later, if nobody has objected, that it is. Its owner writes one more time stamp,
// taken after it has read that, and may then write kUntimedAllocate as long as the word stays what it was. Whoever has
// written an event of an address to any ring looks at the word then, before the event takes effect (the free is done,
// the program learns the address), and sets it to 0 when another ring is named.
//
// Why that is exact. What follows an event of another ring, at its address or anywhere in the sole writer's program,
// follows the word's being set to 0: the sole writer sees it, and takes a time stamp, later than that event's. An event
// of another ring whose writer saw no other ring named was stamped and published, but for what a processor has under
// way, before the reader named one, so before the grace was over: the sole writer's first time stamp is later, and the
// reader, who ends the grace itself, sees that event in every look after that. So all that came before an untimed
// allocation in other rings came before the last time stamp in its own, and whenever it is read, that is at hand.
//
// The lowest two bits of a kind say how many words follow the first: a reader has to know where the next event begins
// before it can do anything else.
enum class EventKind : std::uint8_t {
  kAllocate = 1 << 2 | 3,
  kFree = 2 << 2 | 1,
  // The old block of a realloc: a free, which the next kReallocFailed of the same ring takes back.
  kReallocFree = 3 << 2 | 1,
  kReallocFailed = 4 << 2 | 1,
  kThreadCreate = 5 << 2 | 3,
  kThreadAttributes = 6 << 2 | 3,
  kThreadNotCreated = 7 << 2 | 1,  // the call failed
  kThreadStart = 8 << 2 | 3,
  kThreadEnd = 9 << 2 | 1,
  kThreadRelease = 10 << 2 | 3,
  kSmallAllocate = 11 << 2 | 2,  // step 0
  kUntimedFree = 12 << 2 | 0,
  kUntimedAllocate = 13 << 2 | 1,  // step 0
};

enum class ThreadRelease : std::uint32_t { kJoined = 1, kDetached = 2 };
inline constexpr std::uint64_t kDetachedThread = std::uint64_t{1} << 63;

constexpr bool is_kind(EventKind kind) {
  switch (kind) {
    case EventKind::kAllocate:
    case EventKind::kFree:
    case EventKind::kReallocFree:
    case EventKind::kReallocFailed:
    case EventKind::kThreadCreate:
    case EventKind::kThreadAttributes:
    case EventKind::kThreadNotCreated:
    case EventKind::kThreadStart:
    case EventKind::kThreadEnd:
    case EventKind::kThreadRelease:
    case EventKind::kSmallAllocate:
    case EventKind::kUntimedFree:
    case EventKind::kUntimedAllocate:
      return true;
  }
  return false;
}
// Of what is_kind().
constexpr std::uint32_t words_of(EventKind kind) {
  return (static_cast<std::uint32_t>(kind) & 3) + 1;
}
inline constexpr std::uint32_t kAllocateWords = words_of(EventKind::kAllocate);
inline constexpr std::uint32_t kFreeWords = words_of(EventKind::kFree);
inline constexpr std::uint32_t kMostWords = kAllocateWords;  // of any event
inline constexpr std::uint64_t kTimedFreeEvery = 16;
inline constexpr std::uint64_t kSmallBytes = std::uint64_t{1} << 32;  // kSmallAllocate and kUntimedAllocate have less
inline constexpr int kKindShift = 56;
inline constexpr int kStackShift = 32;  // in word 2 of kSmallAllocate, word 1 of kUntimedAllocate
inline constexpr std::uint64_t kAddressMask = (std::uint64_t{1} << kKindShift) - 1;

constexpr std::uint64_t event_word(EventKind kind, std::uint64_t address) {
  return static_cast<std::uint64_t>(kind) << kKindShift | (address & kAddressMask);
}

// --- the sole writer -------------------------------------------------------------------------------------------------
//
// Header::sole_writer: 0, or a ring that is to be the sole one that is written to, or is. The number tells it from what
// was said of the same ring before.
inline constexpr std::uint64_t kSoleGraceNs = 1'000'000;  // many times what a processor has under way
inline constexpr std::uint32_t kSoleWriterIs = 1;
inline constexpr int kSoleRingBits = 12;
constexpr std::uint32_t sole_writer_to_be(std::uint32_t ring, std::uint32_t number) {
  return number << (kSoleRingBits + 1) | ring << 1;
}
constexpr std::uint32_t sole_ring(std::uint32_t word) {
  return word >> 1 & ((1u << kSoleRingBits) - 1);
}

// --- the sampling interval ------------------------------------------------------------------------------------------
//
// An interval that may change is named by a step, so that every sample can carry the one that it was drawn with: step 0
// is the interval that the session began with, any other one 2^(step / 2) bytes. A thread takes a new one up at its
// next sample. Long distances are interrupted by looks for that: an exponential distance has no memory, so what is left
// of it may be thrown away and drawn anew, as long as nothing of the block in question was decided with the other mean.
inline constexpr std::uint32_t kFirstStep = 24;  // 4 KiB
inline constexpr std::uint32_t kLastStep = 60;   // 1 GiB
inline constexpr int kStepShift = 32;            // in word 3 of kAllocate

constexpr bool is_interval_step(std::uint64_t step) {
  return step == 0 || (step >= kFirstStep && step <= kLastStep);
}

// Both sides compute with the same whole number of bytes.
constexpr std::uint64_t interval_of_step(std::uint32_t step, std::uint64_t first_interval) {
  if (step == 0) return first_interval;
  const std::uint64_t power = std::uint64_t{1} << (step / 2);
  return step % 2 == 0 ? power : static_cast<std::uint64_t>(static_cast<double>(power) * 1.4142135623730951);
}

// A block of no bytes counts as one for sampling, or it could never be seen.
constexpr std::uint64_t sampled_bytes(std::uint64_t size) {
  return size + (size == 0);
}

enum class Clock : std::uint32_t {
  kTsc = 1,        // the invariant time-stamp counter
  kMonotonic = 2,  // clock_gettime(CLOCK_MONOTONIC), nanoseconds
};

// --- rings ----------------------------------------------------------------------------------------------------------

// Positions count words since the session began and are never reset, so that a ring changes hands without ceremony.
// One cache line for what the writer writes, one for what the reader writes.
struct Ring {
  alignas(64) std::atomic<std::uint64_t> write_position;
  std::atomic<std::uint32_t> owner;         // 0: free; otherwise the thread id; kSharedRing for ring 0
  std::uint32_t lookups;                    // the writer's note: frees that had to be looked up
  std::atomic<std::uint64_t> cost_ticks;    // time that recording took in the program, when it is sampled: see below
  std::atomic<std::uint64_t> lookup_ticks;  // the same of frees that were looked up for nothing
  std::uint32_t sole_writer;                // the writer's note: what it read before a time stamp, see above
  alignas(64) std::atomic<std::uint64_t> read_position;
  std::uint64_t reserved_1;
};
static_assert(sizeof(Ring) == 128);
static_assert(offsetof(Ring, write_position) == 0 && offsetof(Ring, owner) == 8 && offsetof(Ring, read_position) == 64);
static_assert(offsetof(Ring, cost_ticks) == 16 && offsetof(Ring, lookup_ticks) == 24);

// What recording costs is counted in ticks of Header::clock, by each ring's owner. One call counts at most this much
// (some ten microseconds, where most take one or less): in a longer one the thread was most likely not running, as when
// it woke the reader and had to make way for it. Never in exact mode.
inline constexpr std::uint64_t kMostCostTicks = std::uint64_t{1} << 15;

inline constexpr std::uint32_t kSharedRing = 0xffffffff;
inline constexpr std::uint32_t kMostRings = 4096;
static_assert(kMostRings <= 1u << kSoleRingBits);

// --- stacks ---------------------------------------------------------------------------------------------------------

// An entry is never changed once its offset is out. Offset 0 is never used: 0 in an event means "the table was full".
struct StackHeader {
  std::uint32_t depth;  // addresses that follow
  std::uint32_t reserved;
  std::uint64_t epoch;  // Header::module_epoch when the stack was taken
};
static_assert(sizeof(StackHeader) == 16);

inline constexpr std::uint32_t kStackHeaderWords = 2;
inline constexpr std::uint32_t kMaxDepth = 1024;
inline constexpr std::uint64_t kNoStack = 0;

// The addresses of a stack are return addresses, except those of instructions that were about to run: in a frame that a
// signal interrupted, and in the trampoline that a handler returns to. Bit 63 is set on these, as no user address has
// it. Small numbers are marks.
inline constexpr std::uint64_t kInterruptedFrame = std::uint64_t{1} << 63;
enum class Mark : std::uint64_t {
  kTruncated = 1,      // deeper than the session's max_depth
  kUnknownCaller = 2,  // code without unwind information (JIT, hand-written assembly) or a stack whose end is unknown
};
inline constexpr std::uint64_t kLastMark = 2;

// --- modules --------------------------------------------------------------------------------------------------------

struct Segment {  // one executable PT_LOAD, at run time
  std::uint64_t start;
  std::uint64_t limit;
  std::uint64_t file_offset;
};
inline constexpr std::uint32_t kMaxSegments = 4;
inline constexpr std::uint32_t kMaxBuildId = 32;
inline constexpr std::uint32_t kMaxPath = 4096;

// A stack of epoch e belongs, for each address, to the newest record that covers the address and has epoch <= e.
struct ModuleRecord {
  std::uint64_t epoch;
  std::uint64_t start;  // extent of the whole mapping
  std::uint64_t limit;
  std::uint64_t bias;  // run-time address minus the address in the file
  Segment segments[kMaxSegments];
  std::uint32_t segment_count;
  std::uint32_t build_id_size;
  std::uint8_t build_id[kMaxBuildId];
  std::uint32_t path_size;  // 0: the main executable
  std::uint32_t reserved;
};
static_assert(sizeof(ModuleRecord) == 32 + 96 + 8 + 32 + 8);

// --- header ---------------------------------------------------------------------------------------------------------

enum class End : std::uint32_t {
  kRunning = 0,
  kReaderStale = 1,  // the reader's heartbeat stopped
  kReaderSlow = 2,   // a free waited for room as long as it may
  kReaderLeft = 3,   // leakwatch said good-bye
  kDetached = 4,     // leakwatch had the target put everything back
};

struct Header {
  // Settings: written by the reader before it hands the memory over, constant after.
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t clock;  // Clock
  std::uint64_t total_bytes;
  std::uint64_t sample_interval;  // mean bytes between two samples; 1 records every event
  std::uint64_t seed;             // 0: the writer chooses
  std::uint32_t max_depth;
  std::uint32_t ring_count;     // at least 2
  std::uint64_t ring_words;     // a power of two
  std::uint64_t rings_offset;   // bytes from the start: Ring[ring_count]
  std::uint64_t words_offset;   // bytes: the rings' words
  std::uint64_t stacks_offset;  // bytes
  std::uint64_t stacks_words;
  std::uint64_t modules_offset;  // bytes
  std::uint64_t modules_bytes;
  std::uint32_t steered;  // 1: the interval may change
  // The exception: changes while the session runs. Among the settings, since those who read it are to share its cache
  // line with nothing that is written all the time.
  std::atomic<std::uint32_t> interval_step;
  // 1 once anybody learns that an event is missing.
  std::atomic<std::uint32_t> frees_are_timed;
  std::atomic<std::uint32_t> sole_writer;

  // The reader's.
  alignas(64) std::atomic<std::uint64_t> heartbeat_ns;  // CLOCK_MONOTONIC; renewed at least every kHeartbeatNs
  std::atomic<std::uint32_t> reader_sleeps;             // 1: a FUTEX_WAKE on this word wakes it
  std::atomic<std::uint32_t> progress;                  // counts drained batches; writers wait on it
  std::atomic<std::uint32_t> reader_left;

  // The writer's.
  alignas(64) std::atomic<std::uint64_t> stacks_used;  // words, reserved (an entry counts once an event names it)
  std::atomic<std::uint64_t> modules_used;             // bytes, published
  std::atomic<std::uint64_t> module_epoch;
  std::atomic<std::uint32_t> rings_used;  // highest ring ever owned, plus one
  std::atomic<std::uint32_t> writers_waiting;
  alignas(64) std::atomic<std::uint64_t> lost_allocations;
  std::atomic<std::uint64_t> lost_frees;
  std::atomic<std::uint64_t> stacks_refused;  // the stack area was full
  std::atomic<std::uint64_t> modules_refused;
  std::atomic<std::uint64_t> ended_ns;       // CLOCK_MONOTONIC, with `ended`
  std::atomic<std::uint32_t> ended;          // End
  std::atomic<std::uint32_t> forks;          // children made by fork: they are not watched
  std::atomic<std::uint32_t> has_libunwind;  // 1: found; 2: not found, unusual stacks end early
  std::atomic<std::uint32_t> joined;         // 1: the program ran already: blocks older than the session are unknown
  std::atomic<std::uint32_t> executes;       // 1: it calls exec, or has: then what follows is another program's
};
static_assert(offsetof(Header, heartbeat_ns) == 128);
static_assert(offsetof(Header, stacks_used) == 192);
static_assert(offsetof(Header, lost_allocations) == 256);
static_assert(sizeof(Header) == 320);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free && std::atomic<std::uint32_t>::is_always_lock_free);

// How long things may take. The manual quotes these; change them together.
inline constexpr std::uint64_t kHeartbeatNs = 100'000'000;       // the reader renews its heartbeat this often
inline constexpr std::uint64_t kStaleNs = 2'000'000'000;         // older: the reader is gone
inline constexpr std::uint64_t kAllocationWaitNs = 200'000'000;  // then this allocation goes unrecorded
inline constexpr std::uint64_t kFreeWaitNs = 1'000'000'000;      // then the session ends

}  // namespace leakwatch::shared
