// SPDX-License-Identifier: Apache-2.0
//
// See the header. Sizes: every area is generous, since untouched pages cost nothing; rings are large when every event
// is recorded and small when few are, since a ring is touched from end to end in time.

#include "cli/drain/shared_region.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <fstream>
#include <new>

#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>
#endif

#include "cli/base/error.h"

namespace leakwatch {

namespace {

constexpr std::uint64_t kPage = 4096;

struct RingShape {
  std::uint32_t count;
  std::uint64_t words;
};
constexpr RingShape kExactRings{shared::kMostRings, 16384};    // 128 KiB each
constexpr RingShape kSampledRings{shared::kMostRings, 1024};   // 8 KiB each
constexpr std::uint64_t kStackWords = std::uint64_t{1} << 25;  // 256 MiB
constexpr std::uint64_t kModuleBytes = std::uint64_t{16} << 20;

std::uint64_t round_up(std::uint64_t bytes) {
  return (bytes + kPage - 1) / kPage * kPage;
}

bool kernel_trusts_tsc() {
  std::ifstream file("/sys/devices/system/clocksource/clocksource0/current_clocksource");
  std::string name;
  // Under a hypervisor's own clock the TSC may still be fine; the slow hardware timers mean that it is not.
  return !(file >> name) || (name != "hpet" && name != "acpi_pm" && name != "jiffies");
}

void copy_bytes(void* to, const char* from, std::size_t bytes) {
  if (bytes != 0) std::memcpy(to, from, bytes);  // memcpy wants no null, not even for nothing
}

}  // namespace

shared::Clock best_clock() {
#if defined(__x86_64__)
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned kInvariantTsc = 1u << 8, kRdtscp = 1u << 27;
  const bool has_rdtscp = __get_cpuid(0x80000001, &a, &b, &c, &d) != 0 && (d & kRdtscp) != 0;
  if (has_rdtscp && __get_cpuid(0x80000007, &a, &b, &c, &d) != 0 && (d & kInvariantTsc) != 0 && kernel_trusts_tsc())
    return shared::Clock::kTsc;
#endif
  return shared::Clock::kMonotonic;
}

std::uint64_t monotonic_ns() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_nsec);
}

std::uint64_t now(shared::Clock clock) {
#if defined(__x86_64__)
  if (clock == shared::Clock::kTsc) {
    unsigned processor = 0;
    const std::uint64_t ticks = __rdtscp(&processor);
    _mm_lfence();  // the rings must be looked at after this
    return ticks;
  }
#endif
  return monotonic_ns();
}

SharedRegion::SharedRegion(const RegionSettings& settings) : settings_(settings) {
  const RingShape rings = settings.sample_interval == 1 ? kExactRings : kSampledRings;
  ring_count_ = rings.count;
  ring_words_ = rings.words;
  const std::uint64_t rings_offset = round_up(sizeof(shared::Header));
  words_offset_ = round_up(rings_offset + ring_count_ * sizeof(shared::Ring));
  stacks_offset_ = round_up(words_offset_ + ring_count_ * ring_words_ * 8);
  stacks_words_ = kStackWords;
  modules_offset_ = stacks_offset_ + round_up(stacks_words_ * 8);
  modules_bytes_ = kModuleBytes;
  bytes_ = modules_offset_ + round_up(modules_bytes_);

  descriptor_ = memfd_create("leakwatch", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (descriptor_ < 0 || ftruncate(descriptor_, static_cast<off_t>(bytes_)) != 0 ||
      fcntl(descriptor_, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
    throw Error(
        fmt::format("cannot make {} MiB of (sparse) shared memory: {}; a file size limit (ulimit -f) may be in "
                    "the way",
                    bytes_ >> 20, std::strerror(errno)));
  void* mapped = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, descriptor_, 0);
  if (mapped == MAP_FAILED)
    throw Error(
        fmt::format("cannot map {} MiB of shared memory: {}; an address space limit (ulimit -v) may be in the way",
                    bytes_ >> 20, std::strerror(errno)));
  base_ = static_cast<char*>(mapped);
  header_ = new (base_) shared::Header{};
  rings_ = reinterpret_cast<shared::Ring*>(base_ + rings_offset);
  rings_[0].owner.store(shared::kSharedRing);
  read_positions_.resize(ring_count_);

  header_->magic = shared::kMagic;
  header_->version = shared::kVersion;
  header_->clock = static_cast<std::uint32_t>(settings.clock);
  header_->total_bytes = bytes_;
  header_->sample_interval = settings.sample_interval;
  header_->seed = settings.seed;
  header_->max_depth = settings.max_depth;
  header_->ring_count = ring_count_;
  header_->ring_words = ring_words_;
  header_->rings_offset = rings_offset;
  header_->words_offset = words_offset_;
  header_->stacks_offset = stacks_offset_;
  header_->stacks_words = stacks_words_;
  header_->modules_offset = modules_offset_;
  header_->modules_bytes = modules_bytes_;
  header_->steered = settings.overhead_limit > 0 ? 1 : 0;
  header_->stacks_used = 1;  // offset 0 means "no stack"
  header_->rings_used = 1;
  header_->heartbeat_ns = monotonic_ns();
}

SharedRegion::~SharedRegion() {
  if (base_ != nullptr) munmap(base_, bytes_);
  close_descriptor();
}

void SharedRegion::close_descriptor() {
  if (descriptor_ >= 0) close(descriptor_);
  descriptor_ = -1;
}

std::uint32_t SharedRegion::rings_used() const {
  return std::min(header_->rings_used.load(std::memory_order_acquire), ring_count_);
}

std::uint64_t SharedRegion::sum(std::atomic<std::uint64_t> shared::Ring::*counter) const {
  std::uint64_t sum = 0;
  for (std::uint32_t i = 0; i < rings_used(); ++i) sum += (rings_[i].*counter).load(std::memory_order_relaxed);
  return sum;
}

SharedRegion::Look SharedRegion::look_at_words(std::uint32_t index, std::size_t most,
                                               std::vector<std::uint64_t>& words) {
  const std::uint64_t begin = read_positions_[index];
  const std::uint64_t held = rings_[index].write_position.load(std::memory_order_acquire) - begin;
  if (held > ring_words_) [[unlikely]] {
    words.clear();
    give_back(index, held);
    return Look::kNonsense;
  }
  const auto* base = reinterpret_cast<const std::uint64_t*>(base_ + words_offset_) + index * ring_words_;
  const std::uint64_t count = std::min<std::uint64_t>(held, most), at = begin & (ring_words_ - 1);
  const std::uint64_t until_end = std::min(count, ring_words_ - at);
  // What the target changes meanwhile is one thing or another, but once copied it stays what it is.
  words.assign(base + at, base + at + until_end);
  words.insert(words.end(), base, base + (count - until_end));
  return words.size() == held ? Look::kAll : Look::kFirst;
}

void SharedRegion::give_back(std::uint32_t index, std::size_t words) {
  if (words == 0) return;
  read_positions_[index] += words;
  rings_[index].read_position.store(read_positions_[index], std::memory_order_release);
}

std::optional<RawStack> SharedRegion::stack(std::uint32_t offset) const {
  if (offset == shared::kNoStack || offset + std::uint64_t{shared::kStackHeaderWords} > stacks_words_)
    return std::nullopt;
  const char* entry = base_ + stacks_offset_ + std::uint64_t{offset} * 8;
  shared::StackHeader head{};
  copy_bytes(&head, entry, sizeof head);
  if (head.depth > settings_.max_depth + 1 ||
      offset + std::uint64_t{shared::kStackHeaderWords} + head.depth > stacks_words_)
    return std::nullopt;
  RawStack stack{head.epoch, std::vector<std::uint64_t>(head.depth)};
  copy_bytes(stack.addresses.data(), entry + sizeof head, head.depth * sizeof(std::uint64_t));
  return stack;
}

std::vector<RawModule> SharedRegion::modules(std::uint64_t& position) const {
  std::vector<RawModule> result;
  const std::uint64_t limit = std::min(header_->modules_used.load(std::memory_order_acquire), modules_bytes_);
  while (position < limit && limit - position >= sizeof(shared::ModuleRecord)) {
    RawModule module;
    const char* at = base_ + modules_offset_ + position;
    copy_bytes(&module.record, at, sizeof module.record);
    const std::uint64_t size =
        sizeof module.record + ((module.record.path_size + std::uint64_t{7}) & ~std::uint64_t{7});
    if (module.record.path_size > shared::kMaxPath || module.record.segment_count > shared::kMaxSegments ||
        module.record.build_id_size > shared::kMaxBuildId || size > limit - position) {
      position = modules_bytes_;  // nothing after this can be found
      break;
    }
    module.path.resize(module.record.path_size);
    copy_bytes(module.path.data(), at + sizeof module.record, module.record.path_size);
    position += size;
    result.push_back(std::move(module));
  }
  return result;
}

}  // namespace leakwatch
