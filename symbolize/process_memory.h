// SPDX-License-Identifier: Apache-2.0
//
// Reads from the memory of another process without stopping it.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>

namespace leakwatch {

// How many bytes could be read: fewer than asked where the mapping ends, 0 with errno set when none. The kernel reads
// page by page, so the count is exact there.
inline std::size_t read_process_memory(pid_t pid, std::uint64_t address, void* buffer, std::size_t size) {
  const iovec local{buffer, size};
  const iovec remote{reinterpret_cast<void*>(address), size};  // NOLINT(performance-no-int-to-ptr): not ours
  const ssize_t count = process_vm_readv(pid, &local, 1, &remote, 1, 0);
  return count < 0 ? 0 : static_cast<std::size_t>(count);
}

}  // namespace leakwatch
