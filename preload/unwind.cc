// SPDX-License-Identifier: Apache-2.0
//
// The walk: one rule and at most two loads per frame. Whatever looks wrong ends it with a mark: a missing rule, a CFA
// that does not rise, an address off the stack. What it reads it tells the record, so that it need not be done again.

#include "preload/unwind.h"

#include <ucontext.h>

#include "preload/complex_unwind.h"
#include "preload/session.h"

namespace leakwatch::preload {

namespace {

std::uint64_t load(std::uint64_t address) {
  std::uint64_t word;
  __builtin_memcpy(&word, reinterpret_cast<const void*>(address), sizeof word);
  return word;
}

class Walk {
 public:
  Walk(Session& session, const CallSite& site, std::uint64_t* addresses, std::uint32_t max_depth, WalkRecord& record)
      : session_(session),
        at_(site),
        extent_(session.stack_around(site.sp)),
        addresses_(addresses),
        max_depth_(max_depth),
        epoch_(session.modules.epoch()),
        record_(record) {
    record.begin(site.sp);
  }

  // False when libunwind has to do it.
  bool run() {
    while (true) {
      if (depth == max_depth_) return cut();
      add_frame();
      const FrameRule rule = session_.frame_rules.find(interrupted_ ? at_.pc : at_.pc - 1, epoch_);
      switch (rule.kind) {
        case FrameRule::kOutermost:
          return true;
        case FrameRule::kComplex:
          return false;
        case FrameRule::kNone:
          return is_at_entry() ? stop_for_now() : end_unknown();
        case FrameRule::kSignal:
          if (!leave_signal_frame()) return end_unknown();
          break;
        default:
          if (!leave_frame(rule)) return end_unknown();
      }
      if (at_.pc == 0) return stop_for_now();
    }
  }

  std::uint32_t depth = 0;

 private:
  // Frames of ours are left out: libc allocates below our pthread_create, for one. Then the stack does not tell all
  // that the walk has read.
  void add_frame() {
    if (session_.is_own_code(at_.pc)) return record_.give_up();
    addresses_[depth++] = interrupted_ ? at_.pc | shared::kInterruptedFrame : at_.pc;
  }

  bool cut() {
    record_.cut();
    addresses_[depth++] = static_cast<std::uint64_t>(shared::Mark::kTruncated);
    return true;
  }
  // What stopped the walk may be gone the next time, without a word that differs.
  bool stop_for_now() {
    record_.give_up();
    return true;
  }
  bool end_unknown() {
    addresses_[depth++] = static_cast<std::uint64_t>(shared::Mark::kUnknownCaller);
    return stop_for_now();
  }

  // The loader's entry code has no unwind information; it stands where the kernel began the main thread's stack.
  bool is_at_entry() const {
    constexpr std::uint64_t kNear = 16;
    return extent_.high == session_.main_stack_end && extent_.high - at_.sp + kNear <= 2 * kNear;
  }

  bool find_cfa(const FrameRule& rule, std::uint64_t& cfa) {
    const auto offset = static_cast<std::uint64_t>(static_cast<std::int64_t>(rule.cfa_offset));
    if (rule.kind == FrameRule::kFromRsp) {
      cfa = at_.sp + offset;
      return true;
    }
    record_.used_rbp(at_.rbp);
    cfa = at_.rbp + offset;
    if (rule.kind != FrameRule::kFromSavedRbp) return true;
    if (!extent_.holds(cfa)) return false;
    const std::uint64_t saved_at = cfa;
    cfa = load(saved_at);
    record_.used_word(saved_at, cfa);
    return true;
  }

  bool restore_rbp(const FrameRule& rule, std::uint64_t cfa) {
    if (rule.rbp == FrameRule::kRbpSame) return true;
    if (rule.rbp == FrameRule::kRbpAtRbp) record_.used_rbp(at_.rbp);
    const std::uint64_t base = rule.rbp == FrameRule::kRbpAtCfa ? cfa : at_.rbp;
    const std::uint64_t saved_at = base + static_cast<std::uint64_t>(static_cast<std::int64_t>(rule.rbp_offset));
    if (!extent_.holds(saved_at)) return false;
    at_.rbp = load(saved_at);
    record_.read_rbp(saved_at);
    return true;
  }

  bool leave_frame(const FrameRule& rule) {
    std::uint64_t cfa;
    if (!find_cfa(rule, cfa) || cfa <= at_.sp || !extent_.holds(cfa - 8) || !restore_rbp(rule, cfa)) return false;
    at_.pc = load(cfa - 8);
    record_.read_return(cfa - 8);
    at_.sp = cfa;
    extent_.low = cfa;
    interrupted_ = false;
    return true;
  }

  // The kernel wrote the whole ucontext, so all of it is there whatever stack this is.
  bool leave_signal_frame() {
    if ((at_.sp & 7) != 0) return false;
    addresses_[depth - 1] |= shared::kInterruptedFrame;  // a handler returns to the trampoline's first instruction
    const auto* context = reinterpret_cast<const ucontext_t*>(at_.sp);
    const auto& registers = context->uc_mcontext.gregs;
    at_ = {static_cast<std::uint64_t>(registers[REG_RIP]), static_cast<std::uint64_t>(registers[REG_RSP]),
           static_cast<std::uint64_t>(registers[REG_RBP])};
    extent_ = session_.stack_around(at_.sp);
    interrupted_ = true;
    return stop_for_now();
  }

  Session& session_;
  CallSite at_;
  StackExtent extent_;
  std::uint64_t* addresses_;
  const std::uint32_t max_depth_;
  const std::uint64_t epoch_;
  WalkRecord& record_;
  bool interrupted_ = false;
};

}  // namespace

std::uint32_t unwind(Session& session, const CallSite& site, std::uint64_t* addresses, std::uint32_t max_depth,
                     WalkRecord& record) {
  Walk walk(session, site, addresses, max_depth, record);
  if (walk.run()) return walk.depth;
  record.give_up();
  return unwind_complex(session, addresses, max_depth, walk.depth);
}

}  // namespace leakwatch::preload
