// SPDX-License-Identifier: Apache-2.0
//
// What a walk depended on besides the unwind tables: where the words lay that it read, relative to the sp that it began
// with. A walk records it; remembered_walks.h says what it is good for.
#pragma once

#include <cstddef>
#include <cstdint>

namespace leakwatch::preload {

// A word on the stack, or the rbp that the walk began with, had to point at one place of the stack: `expected` bytes
// above the first sp. Only values from which the walk counted are checked; a saved rbp that nobody used may be
// anything.
struct WalkCheck {
  static constexpr std::uint32_t kRegister = 0xffffffff;
  std::uint32_t position;  // bytes above the first sp, or kRegister
  std::int32_t expected;
};

// Followed by the checks, and then by the places of the return addresses in words above the first sp: 16 bits each, in
// the order of the stack, and the last one again until they are whole groups, which are quicker to load.
struct WalkLayout {
  static constexpr std::uint32_t kGroup = 4;

  std::uint32_t end;  // bytes above the first sp: the walk read nothing from there on
  std::uint16_t checks;
  std::uint16_t groups;  // at least one
  // Of a walk that was cut at the session's depth, 1 + the place of the return address that it read last, which is in
  // no stack and must not be 0, as that would have been the end. Of others, 0.
  std::uint32_t cut_place;

  WalkCheck* first_check() { return reinterpret_cast<WalkCheck*>(this + 1); }
  const WalkCheck* first_check() const { return reinterpret_cast<const WalkCheck*>(this + 1); }
  const std::uint16_t* first_return() const { return reinterpret_cast<const std::uint16_t*>(first_check() + checks); }
  std::uint32_t places() const { return groups * kGroup; }

  // A multiple of 4.
  static constexpr std::size_t bytes(std::size_t checks, std::size_t places) {
    return sizeof(WalkLayout) + checks * sizeof(WalkCheck) + places * sizeof(std::uint16_t);
  }
  std::size_t bytes() const { return bytes(checks, places()); }
};
static_assert(sizeof(WalkLayout) == 12 && alignof(WalkLayout) == 4);

// Filled in by a walk. When it met something that its words do not tell, or that does not fit, it is not repeatable.
class WalkRecord {
 public:
  static constexpr std::size_t kMaxSpan = std::size_t{65536} * 8;

  // `room` has room_bytes(max_depth).
  WalkRecord(void* room, std::uint32_t max_depth)
      : checks_(static_cast<WalkCheck*>(room)),
        returns_(reinterpret_cast<std::uint16_t*>(checks_ + max_depth)),
        max_depth_(max_depth) {}

  static constexpr std::size_t room_bytes(std::uint32_t max_depth) {
    return (max_depth * sizeof(WalkCheck) + max_depth * sizeof(std::uint16_t) + 7) & ~std::size_t{7};
  }

  void begin(std::uint64_t sp) {
    sp_ = sp;
    rbp_at_ = WalkCheck::kRegister;
  }
  void give_up() { is_repeatable_ = false; }

  // The walk loaded the word at `address`.
  void read(std::uint64_t address) {
    const std::uint64_t end = address - sp_ + 8;
    if (end > end_) end_ = end;
  }
  // ... and it is the next return address.
  void read_return(std::uint64_t address) {
    read(address);
    if (return_count_ == max_depth_ || end_ > kMaxSpan) return give_up();
    returns_[return_count_++] = static_cast<std::uint16_t>((address - sp_) / 8);
  }
  // ... and it is the caller's rbp.
  void read_rbp(std::uint64_t address) {
    read(address);
    rbp_at_ = static_cast<std::uint32_t>(address - sp_);
  }
  // The walk counted from rbp, which had this value; from the word at `address`.
  void used_rbp(std::uint64_t value) { check(rbp_at_, value); }
  void used_word(std::uint64_t address, std::uint64_t value) {
    read(address);
    check(static_cast<std::uint32_t>(address - sp_), value);
  }
  void cut() { is_cut_ = true; }

  // Where the walk ended, if it was not cut; 0 if it was.
  std::uint64_t last_frame() const {
    return is_cut_ || return_count_ == 0 ? 0 : sp_ + std::uint64_t{returns_[return_count_ - 1]} * 8;
  }

  // How many of the return addresses the stack shows.
  std::uint32_t returns_in_stack() const { return return_count_ - (is_cut_ ? 1 : 0); }
  bool is_repeatable() const { return is_repeatable_ && returns_in_stack() != 0; }
  std::size_t layout_bytes() const {
    return WalkLayout::bytes(check_count_, std::size_t{groups()} * WalkLayout::kGroup);
  }
  // `layout` has room for layout_bytes().
  void write(WalkLayout* layout) const {
    const std::uint32_t in_stack = returns_in_stack();
    *layout = {static_cast<std::uint32_t>(end_), static_cast<std::uint16_t>(check_count_),
               static_cast<std::uint16_t>(groups()), is_cut_ ? 1u + returns_[in_stack] : 0u};
    __builtin_memcpy(layout->first_check(), checks_, check_count_ * sizeof(WalkCheck));
    auto* places = reinterpret_cast<std::uint16_t*>(layout->first_check() + check_count_);
    for (std::uint32_t i = 0; i < layout->places(); ++i) places[i] = returns_[i < in_stack ? i : in_stack - 1];
  }

 private:
  void check(std::uint32_t position, std::uint64_t value) {
    const std::uint64_t above = value - sp_;
    if (check_count_ == max_depth_ || above + kMaxSpan >= 2 * kMaxSpan) return give_up();
    checks_[check_count_++] = {position, static_cast<std::int32_t>(static_cast<std::int64_t>(above))};
  }

  std::uint32_t groups() const { return (returns_in_stack() + WalkLayout::kGroup - 1) / WalkLayout::kGroup; }

  WalkCheck* checks_;
  std::uint16_t* returns_;
  std::uint32_t max_depth_;
  std::uint32_t check_count_ = 0, return_count_ = 0;
  std::uint32_t rbp_at_ = WalkCheck::kRegister;
  std::uint64_t sp_ = 0;
  std::uint64_t end_ = 0;
  bool is_repeatable_ = true;
  bool is_cut_ = false;
};

}  // namespace leakwatch::preload
