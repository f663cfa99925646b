// SPDX-License-Identifier: Apache-2.0
//
// What a remote call consists of on any machine: functions with their arguments, the signals that wait for their end,
// and the bytes that are to stand below the stack pointer of the thread which calls them. remote_call_x86_64.h and
// remote_call_aarch64.h say what these are.
#pragma once

#include <array>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace leakwatch {

// One function of the sequence, with its arguments as integers and pointers are passed.
struct Invocation {
  std::uint64_t function = 0;
  std::array<std::uint64_t, 6> arguments{};
};

// Asynchronous signals wait while the call runs, as a handler might not return. Left open are faults, and the signal by
// which glibc changes the user of all threads: whoever sent it waits for this thread, with a lock held that the loader
// may need.
inline std::uint64_t signals_blocked_in_call() {
  constexpr int kChangeUser = 33;  // SIGSETXID, private to glibc
  std::uint64_t blocked = ~std::uint64_t{0};
  for (const int open : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGKILL, SIGSTOP, kChangeUser}) {
    blocked &= ~(std::uint64_t{1} << static_cast<unsigned>(open - 1));
  }
  return blocked;
}

// Grows down from its top.
class StackImage {
 public:
  explicit StackImage(std::uint64_t top) : top_(top), bottom_(top) {}

  // Room below all that there is so far, filled with zeros. `alignment`: a power of two. The address of its first byte.
  std::uint64_t reserve(std::size_t size, std::uint64_t alignment) {
    bottom_ = (bottom_ - size) & ~(alignment - 1);
    backwards_.resize(top_ - bottom_);
    return bottom_;
  }

  // Into room that was reserved.
  void write(std::uint64_t address, const void* bytes, std::size_t size) {
    const char* source = static_cast<const char*>(bytes);
    for (std::size_t index = 0; index < size; ++index) backwards_[top_ - 1 - (address + index)] = source[index];
  }

  std::uint64_t add(std::string_view bytes, std::uint64_t alignment) {
    const std::uint64_t address = reserve(bytes.size(), alignment);
    write(address, bytes.data(), bytes.size());
    return address;
  }

  std::uint64_t bottom() const { return bottom_; }
  std::vector<char> bytes() const { return {backwards_.rbegin(), backwards_.rend()}; }  // from the bottom up

 private:
  std::uint64_t top_;
  std::uint64_t bottom_;
  std::vector<char> backwards_;  // the byte at top_ - 1 first
};

}  // namespace leakwatch
