// SPDX-License-Identifier: Apache-2.0
//
// Walks the stacks of another process from copies of them. The process is not stopped, entered or changed here: whoever
// made the copy answers for its being of one moment. A frame is only named when the unwind information proves it: where
// it asks for a register that is not known the walk ends and says so, and no guess is made.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "symbolize/machine_registers.h"
#include "symbolize/module.h"

namespace leakwatch {

// Bytes of a stack, in one or more stretches.
class StackCopy {
 public:
  void add(std::uint64_t address, std::vector<char> bytes) { stretches_.push_back({address, std::move(bytes)}); }
  void clear() { stretches_.clear(); }
  bool empty() const { return stretches_.empty(); }
  bool read(std::uint64_t address, std::uint64_t& value) const;

  // Whether all bytes of [start, limit) are here and the same in both.
  bool agrees(const StackCopy& other, std::uint64_t start, std::uint64_t limit) const;

  // [start, limit) alone; empty when not all of it is here.
  StackCopy portion(std::uint64_t start, std::uint64_t limit) const;

 private:
  struct Stretch {
    std::uint64_t address = 0;
    std::vector<char> bytes;
  };
  const char* find(std::uint64_t address, std::uint64_t size) const;

  std::vector<Stretch> stretches_;
};

struct UnwoundFrame {
  static constexpr std::uint32_t kNoModule = 0xffffffff;
  std::uint64_t address = 0;         // of the call: one less than the return address; exact where it was interrupted
  std::uint32_t module = kNoModule;  // indexes ProcessUnwinder::modules()
  friend bool operator==(const UnwoundFrame&, const UnwoundFrame&) = default;
};

enum class UnwindEnd {
  kOutermost,        // the whole stack
  kDepthLimit,       // there is more
  kUnknownCaller,    // code without unwind information, or a stack that makes no sense from here on
  kRegisterUnknown,  // the next frame needs a register that is not known
  kMemoryUnknown,    // the next frame needs memory at `missing`, which was not copied
};

struct UnwoundStack {
  std::vector<UnwoundFrame> frames;  // innermost first
  UnwindEnd end = UnwindEnd::kUnknownCaller;
  std::uint64_t missing = 0;
  std::uint64_t reach = 0;  // the walk read nothing at or above this address, but in frames that signals interrupted
};

class ProcessUnwinder {
 public:
  // `root` is put before a module's path to open it, "/proc/PID/root" for a process with a root of its own.
  explicit ProcessUnwinder(pid_t pid, std::string root = {});
  ~ProcessUnwinder();
  ProcessUnwinder(const ProcessUnwinder&) = delete;
  ProcessUnwinder& operator=(const ProcessUnwinder&) = delete;

  // Looks at the maps again. False when they cannot be read. Modules keep their places from one call to the next, also
  // those that are not mapped any more; only when the process began another program the list begins anew. `thread`: one
  // that has not ended, as the memory of a process cannot be asked for by the number of one that has.
  bool refresh(pid_t thread);
  bool refresh();  // by its own number

  // 0 is the main executable. Grows, so indexes stay good.
  const std::vector<Module>& modules() const;

  // Where the mapping with the address ends; 0 when there was none at the last refresh.
  std::uint64_t mapping_limit(std::uint64_t address) const;

  UnwoundStack unwind(const MachineRegisters& registers, const StackCopy& stack, std::size_t max_depth);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace leakwatch
