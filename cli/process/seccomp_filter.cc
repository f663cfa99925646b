// SPDX-License-Identifier: Apache-2.0
//
// See the header. The language: Linux, Documentation/networking/filter.rst ("cBPF"), of which seccomp allows the part
// that reads its own data by aligned words.

#include "cli/process/seccomp_filter.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace leakwatch {

namespace {

constexpr std::uint32_t kWrong = SECCOMP_RET_KILL_PROCESS;

class Machine {
 public:
  explicit Machine(const seccomp_data& call) : call_(call) {}

  // The next instruction's index, or the answer.
  bool step(const sock_filter& instruction, std::size_t& next, std::uint32_t& answer) {
    const std::uint32_t operand = BPF_SRC(instruction.code) == BPF_X ? x_ : instruction.k;
    switch (BPF_CLASS(instruction.code)) {
      case BPF_LD:
        return load(instruction, a_);
      case BPF_LDX:
        return load(instruction, x_);
      case BPF_ST:
        return store(instruction.k, a_);
      case BPF_STX:
        return store(instruction.k, x_);
      case BPF_ALU:
        return calculate(BPF_OP(instruction.code), operand);
      case BPF_JMP:
        return jump(instruction, operand, next);
      case BPF_MISC:
        (BPF_MISCOP(instruction.code) == BPF_TAX ? x_ : a_) = BPF_MISCOP(instruction.code) == BPF_TAX ? a_ : x_;
        return true;
      default:
        answer = BPF_RVAL(instruction.code) == BPF_A ? a_ : instruction.k;
        return false;
    }
  }

 private:
  bool load(const sock_filter& instruction, std::uint32_t& into) {
    switch (BPF_MODE(instruction.code)) {
      case BPF_IMM:
        into = instruction.k;
        return true;
      case BPF_LEN:
        into = sizeof call_;
        return true;
      case BPF_MEM:
        if (instruction.k < memory_.size()) into = memory_[instruction.k];
        return instruction.k < memory_.size();
      case BPF_ABS:
        if (instruction.k > sizeof call_ - sizeof into) return false;
        std::memcpy(&into, reinterpret_cast<const char*>(&call_) + instruction.k, sizeof into);
        return true;
      default:
        return false;
    }
  }

  bool store(std::uint32_t index, std::uint32_t value) {
    if (index >= memory_.size()) return false;
    memory_[index] = value;
    return true;
  }

  bool calculate(unsigned operation, std::uint32_t operand) {
    switch (operation) {
      case BPF_ADD:
        a_ += operand;
        return true;
      case BPF_SUB:
        a_ -= operand;
        return true;
      case BPF_MUL:
        a_ *= operand;
        return true;
      case BPF_DIV:
        if (operand != 0) a_ /= operand;
        return operand != 0;
      case BPF_OR:
        a_ |= operand;
        return true;
      case BPF_AND:
        a_ &= operand;
        return true;
      case BPF_XOR:
        a_ ^= operand;
        return true;
      case BPF_LSH:
        a_ = operand < 32 ? a_ << operand : 0;
        return true;
      case BPF_RSH:
        a_ = operand < 32 ? a_ >> operand : 0;
        return true;
      case BPF_NEG:
        a_ = 0U - a_;
        return true;
      default:
        return false;
    }
  }

  bool jump(const sock_filter& instruction, std::uint32_t operand, std::size_t& next) const {
    bool is_true = false;
    switch (BPF_OP(instruction.code)) {
      case BPF_JA:
        next += instruction.k;
        return true;
      case BPF_JEQ:
        is_true = a_ == operand;
        break;
      case BPF_JGT:
        is_true = a_ > operand;
        break;
      case BPF_JGE:
        is_true = a_ >= operand;
        break;
      case BPF_JSET:
        is_true = (a_ & operand) != 0;
        break;
      default:
        return false;
    }
    next += is_true ? instruction.jt : instruction.jf;
    return true;
  }

  const seccomp_data& call_;
  std::uint32_t a_ = 0;
  std::uint32_t x_ = 0;
  std::array<std::uint32_t, BPF_MEMWORDS> memory_{};
};

#if defined(__x86_64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#else
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#endif

struct NeededCall {
  std::string_view name;
  int number;
  std::array<std::uint64_t, 6> arguments;
  bool is_of_recording = false;
};

constexpr std::uint64_t kCodePages = PROT_READ | PROT_EXEC;
constexpr std::uint64_t kSessionSocket = SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK;
constexpr std::uint64_t kHere = static_cast<std::uint64_t>(AT_FDCWD);

// With the arguments that filters look at.
constexpr NeededCall kNeeded[] = {
    {"rt_sigreturn", SYS_rt_sigreturn, {}},
    {"rt_sigprocmask", SYS_rt_sigprocmask, {0, 0, 0, 8, 0, 0}},
    {"openat", SYS_openat, {kHere, 0, O_RDONLY | O_CLOEXEC, 0, 0, 0}},
    {"read", SYS_read, {}},
    {"fstat", SYS_fstat, {}},
    {"mmap", SYS_mmap, {0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, ~std::uint64_t{0}, 0}},
    {"mmap of code", SYS_mmap, {0, 4096, kCodePages, MAP_PRIVATE | MAP_DENYWRITE, 3, 0}},
    {"mprotect", SYS_mprotect, {0, 4096, PROT_READ | PROT_WRITE, 0, 0, 0}, true},
    {"munmap", SYS_munmap, {}},
    {"madvise", SYS_madvise, {}},
    {"close", SYS_close, {}},
    {"futex", SYS_futex, {}, true},
    {"getpid", SYS_getpid, {}},
    {"socket of the family AF_UNIX", SYS_socket, {AF_UNIX, kSessionSocket, 0, 0, 0, 0}},
    {"connect", SYS_connect, {}},
    {"sendto", SYS_sendto, {}},
    {"recvmsg", SYS_recvmsg, {}},
    {"fcntl", SYS_fcntl, {3, F_GET_SEALS, 0, 0, 0, 0}},
#if defined(__x86_64__)
    {"poll", SYS_poll, {}},
#else
    {"ppoll", SYS_ppoll, {}},
#endif
};

constexpr NeededCall kNeededForMemoryFile[] = {
    {"memfd_create", SYS_memfd_create, {0, MFD_CLOEXEC, 0, 0, 0, 0}},
};

std::span<const NeededCall> needed(JoiningCalls calls) {
  if (calls == JoiningCalls::kOfMemoryFile) return kNeededForMemoryFile;
  return kNeeded;
}

bool lets_through(std::uint32_t answer) {
  const std::uint32_t action = answer & SECCOMP_RET_ACTION_FULL;
  return action == SECCOMP_RET_ALLOW || action == SECCOMP_RET_LOG;
}

bool is_fatal(std::uint32_t answer) {
  const std::uint32_t action = answer & SECCOMP_RET_ACTION_FULL;
  return action == SECCOMP_RET_KILL_PROCESS || action == SECCOMP_RET_KILL_THREAD || action == SECCOMP_RET_TRAP;
}

}  // namespace

std::uint32_t run_seccomp_filter(std::span<const sock_filter> filter, const seccomp_data& call) {
  Machine machine(call);
  // Jumps lead forward only, so this ends.
  for (std::size_t next = 0; next < filter.size();) {
    const sock_filter& instruction = filter[next++];
    std::uint32_t answer = kWrong;
    if (!machine.step(instruction, next, answer)) return answer;
  }
  return kWrong;
}

std::optional<ForbiddenCall> find_forbidden_call(std::span<const SeccompFilter> filters, JoiningCalls calls) {
  for (const NeededCall& each : needed(calls)) {
    seccomp_data call{};
    call.nr = each.number;
    call.arch = kArchitecture;
    std::copy(each.arguments.begin(), each.arguments.end(), std::begin(call.args));
    for (const SeccompFilter& filter : filters) {
      const std::uint32_t answer = run_seccomp_filter(filter, call);
      if (!lets_through(answer)) return ForbiddenCall{each.name, is_fatal(answer), each.is_of_recording};
    }
  }
  return std::nullopt;
}

}  // namespace leakwatch
