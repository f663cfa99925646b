// SPDX-License-Identifier: Apache-2.0
//
// The sleep of a process that was started with our object preloaded and without leakwatch: hooks are plain calls, and
// each thread looks, every 64 KiB that it allocates or so, whether somebody calls. proto/wake_page.h says how. Nothing
// is looked at by a system call: the process may have forbidden itself every one of them since.
#pragma once

#include <atomic>
#include <cstdint>

#include "preload/thread_state.h"
#include "proto/attach_state.h"
#include "proto/wake_page.h"

namespace leakwatch::preload {

struct WakeCall {
  wake::Action action;
  char socket[wake::kPathBytes];
};

class WakePage {
 public:
  static constexpr std::uint64_t kBytesBetweenLooks = std::uint64_t{64} * 1024;
  using Answer = attach::Outcome (*)(const WakeCall&);

  // At the start of the process, while it may still open files. `answer` is what does as a call says. False when no
  // folder will do, or the program has more rights than who started it: then nobody can call.
  bool open(Answer answer);
  bool is_open() const { return answer_ != nullptr; }

  // To be called in a hook, outside of the allocator. `from` is where the program called the hook.
  void look(std::uint64_t from) {
    const std::uint32_t number = page_->last_number.load(std::memory_order_relaxed);
    if (number != seen_.load(std::memory_order_relaxed) && !thread_state.busy) [[unlikely]]
      look_for_own_call(from);
  }

  void after_fork_in_child();

 private:
  bool make_in(const char* folder);
  wake::Page* make_file(long folder_descriptor, const char* folder, const char* name) const;
  void look_for_own_call(std::uint64_t from);
  void follow(wake::Call& call) const;

  static wake::Page nobody_calls_;
  wake::Page* page_ = &nobody_calls_;
  Answer answer_ = nullptr;
  // Up to which number this process has looked: most are meant for others.
  std::atomic<std::uint32_t> seen_{0};
  // Known before somebody calls. A child that was made without fork has its parent's: it is no one's to call.
  std::uint32_t own_process_ = 0;
};

extern WakePage wake_page __attribute__((visibility("hidden")));

}  // namespace leakwatch::preload
