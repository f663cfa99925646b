// SPDX-License-Identifier: Apache-2.0
//
// What a seccomp filter of a process lets through of that which joining it takes: the loader's calls, and those by
// which our object finds us. A filter is a small program without loops; here it is run on each of these calls, as the
// kernel would (seccomp(2)), and nobody has to try.
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace leakwatch {

using SeccompFilter = std::vector<sock_filter>;

// The filter's answer, SECCOMP_RET_ and what belongs to it. A filter that the kernel would not have taken kills.
std::uint32_t run_seccomp_filter(std::span<const sock_filter> filter, const seccomp_data& call);

struct ForbiddenCall {
  std::string_view name;
  bool is_fatal = false;         // it would end the thread or the process, rather than fail
  bool is_of_recording = false;  // made as long as the process is watched, and not only to join it
};

enum class JoiningCalls : std::uint8_t {
  kOfAll,         // whatever way the object comes
  kOfMemoryFile,  // when it comes as one (memory_file.h)
};

// The first of these calls that one of the filters does not let through; nothing when all get through.
std::optional<ForbiddenCall> find_forbidden_call(std::span<const SeccompFilter> filters,
                                                 JoiningCalls calls = JoiningCalls::kOfAll);

}  // namespace leakwatch
