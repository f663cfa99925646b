// SPDX-License-Identifier: Apache-2.0
//
// How to get from a frame to its caller, for one pc: a 64-bit rule made from the module's .eh_frame on first sight and
// remembered in a lock-free table. Rules cover what compilers emit for x86-64; what a rule cannot say is kComplex and
// goes to libunwind (complex_unwind.h).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "preload/modules.h"

namespace leakwatch::preload {

struct FrameRule {
  enum Kind : std::uint8_t {
    kNone,          // no unwind information: the walk ends here
    kFromRsp,       // CFA = rsp + cfa_offset
    kFromRbp,       // CFA = rbp + cfa_offset
    kFromSavedRbp,  // CFA = *(rbp + cfa_offset): functions that realign their stack
    kSignal,        // the kernel's signal frame: rsp points at a ucontext_t
    kOutermost,     // there is no caller
    kComplex,
  };
  enum Rbp : std::uint8_t {
    kRbpSame,
    kRbpAtCfa,  // saved at CFA + rbp_offset
    kRbpAtRbp,  // saved at rbp + rbp_offset
  };
  // The return address is at CFA - 8, and the caller's rsp is the CFA.
  Kind kind = kNone;
  Rbp rbp = kRbpSame;
  std::int16_t rbp_offset = 0;
  std::int32_t cfa_offset = 0;
};
static_assert(sizeof(FrameRule) == 8);

// Reads the unwind tables of a module at run time. Public for its tests; `address` lies in the instruction that is to
// be unwound. Never reads outside what the module's own tables say that they span.
FrameRule read_frame_rule(const void* eh_frame_header, std::uint64_t address);

class FrameRules {
 public:
  static constexpr std::size_t kPlaces = 16384;
  struct Place {
    std::atomic<std::uint64_t> check;  // key ^ rule: a torn pair does not match
    std::atomic<std::uint64_t> rule;
  };
  static constexpr std::size_t kTableBytes = kPlaces * sizeof(Place);

  // `table` is kTableBytes of zeroes.
  void start(Place* table, Modules* modules) {
    table_ = table;
    modules_ = modules;
  }

  // `epoch` is the module epoch that the walk began with.
  FrameRule find(std::uint64_t address, std::uint64_t epoch) {
    // An epoch in the key makes the rules of unloaded modules strangers.
    const std::uint64_t key = address ^ (epoch << 48);
    Place& place = table_[(key * 0x9e3779b97f4a7c15) >> 50];
    const std::uint64_t bits = place.rule.load(std::memory_order_relaxed);
    if ((place.check.load(std::memory_order_relaxed) ^ bits) == key) [[likely]]
      return __builtin_bit_cast(FrameRule, bits);
    return look_up(address, key, place);
  }

 private:
  FrameRule look_up(std::uint64_t address, std::uint64_t key, Place& place);

  Place* table_;
  Modules* modules_;
};
static_assert(FrameRules::kPlaces == std::size_t{1} << (64 - 50));

}  // namespace leakwatch::preload
