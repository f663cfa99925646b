// SPDX-License-Identifier: Apache-2.0
//
// What /proc/PID/task/TID says of a thread. Reading it stops nothing. The thread may be gone at any moment: then the
// answer is empty.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "symbolize/machine_registers.h"

namespace leakwatch {

// The file `syscall`: where a thread that does not run stands in its own code.
struct ThreadPlace {
  enum class Kind : std::uint8_t {
    kGone,
    kDenied,   // only for those who may trace it
    kRunning,  // or ready to: it has no place to speak of
    kBlocked,  // off the processor outside of any system call: a page fault, a stop
    kInCall,
  };
  Kind kind = Kind::kGone;
  std::int64_t call = -1;
  std::array<std::uint64_t, 6> arguments{};
  std::uint64_t stack_pointer = 0;
  std::uint64_t pc = 0;
  friend bool operator==(const ThreadPlace&, const ThreadPlace&) = default;
};

ThreadPlace parse_place(std::string_view text);

// What a place says of a sleeping thread's registers.
MachineRegisters registers_of(const ThreadPlace& place);

// How often a thread was put on a processor, and for how long. While these do not change it has not run.
struct RunCount {
  std::array<std::uint64_t, 2> values{};
  friend bool operator==(const RunCount&, const RunCount&) = default;
};

std::optional<RunCount> parse_schedstat(std::string_view text);
std::optional<RunCount> parse_switches(std::string_view status);

class ThreadFiles {
 public:
  ThreadFiles(pid_t pid, pid_t tid);

  ThreadPlace place() const;
  std::optional<RunCount> run_count() const;
  std::optional<std::uint64_t> sleeps() const;  // how often it has begun to wait
  std::string name() const;
  std::string wait_channel() const;  // the kernel's function, empty when it does not tell
  char state() const;                // as in ps(1), 0 when gone
  bool has_ended() const;            // also when it is still listed
  std::int64_t age_ns() const;       // in steps of the kernel's clock, 10 ms mostly; 0 when gone

  // What the process has under a number: "pipe", "socket", "file", "terminal", "eventfd" …; empty when nothing.
  std::string descriptor_kind(std::uint64_t descriptor) const;

 private:
  std::string read(std::string_view name, int* error = nullptr) const;

  std::string folder_;
};

std::vector<pid_t> list_threads(pid_t pid);  // by rising id

// By whose number the memory of the process can be asked for: `pid` itself, or another thread when the main thread has
// ended before the others, as by pthread_exit. 0 when all have ended.
pid_t living_thread(pid_t pid);

}  // namespace leakwatch
