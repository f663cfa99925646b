// SPDX-License-Identifier: Apache-2.0
//
// The three messages on the Unix socket. The watched process connects and says Hello; leakwatch answers with Welcome,
// the sealed memfd beside it (SCM_RIGHTS) when it wants the process; the process says Ready once it has mapped that.
// Both close the socket: afterwards the target holds no descriptor of ours. Shapes are fixed, in the machine's byte
// order: both ends run on one machine.
#pragma once

#include <cstdint>

namespace leakwatch::handshake {

inline constexpr std::uint64_t kMagic = 0x01'6f'6c'6c'65'68'57'4c;  // "LWhello\1"
inline constexpr std::uint32_t kVersion = 1;
inline constexpr std::uint64_t kTimeoutNs = 5'000'000'000;  // then the target runs unwatched

// The environment variable that leads a process here. The target takes it out of its environment, so that children do
// not inherit it, and puts it back for a program that it becomes.
inline constexpr char kSocketVariable[] = "LEAKWATCH_SOCKET";

struct Hello {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t shared_memory_version;
  std::uint32_t pid;  // in the target's own pid namespace; the reader trusts SO_PEERCRED instead
  std::uint32_t reserved;
};
static_assert(sizeof(Hello) == 24);

enum class Answer : std::uint32_t {
  kWatch = 1,   // the memfd is attached
  kIgnore = 2,  // run unwatched
};

struct Welcome {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t answer;  // Answer
  std::uint64_t reserved;
};
static_assert(sizeof(Welcome) == 24);

struct Ready {
  std::uint64_t magic;
  std::uint32_t mapped;  // 0: the memory could not be mapped (a limit on address space), the process runs unwatched
  std::uint32_t reserved;
};
static_assert(sizeof(Ready) == 16);

}  // namespace leakwatch::handshake
