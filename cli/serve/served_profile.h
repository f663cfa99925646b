// SPDX-License-Identifier: Apache-2.0
//
// The profiles that are served under a name, each from a look at the program that is taken when it is asked for.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/profile/profile.h"
#include "cli/session/profile_source.h"

namespace leakwatch {

struct ServedProfile {
  std::string name;
  ProfileContent content;
  SymbolLookup symbols;
  std::uint64_t program = 0;  // as Moment has it
  // What the content refers to; both are empty for a profile that is always empty.
  std::shared_ptr<const HeapSnapshot> heap;
  std::shared_ptr<const ThreadSnapshot> threads;

  const std::vector<Module>* modules() const;
};

// allocs, block, goroutine, heap, mutex, threadcreate, threads (another name for goroutine).
bool is_profile_name(std::string_view name);

// Empty when the program has not called back yet. `name` is one of those.
std::optional<ServedProfile> look_at(ProfileSource& source, std::string_view name);

// The same of a heap that was looked at before; the name is heap or allocs.
ServedProfile served_heap(std::string_view name, Moment<HeapSnapshot> moment);

// With debug=1 and above.
std::string profile_text(const ServedProfile& profile, std::int64_t debug);

}  // namespace leakwatch
