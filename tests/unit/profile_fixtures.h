// SPDX-License-Identifier: Apache-2.0
//
// A process made of literals, its symbols, and questions to the profiles of it. It is "run" again by shifting it in
// memory, as address randomisation would.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "cli/profile/heap_profile.h"
#include "cli/profile/profile.h"
#include "cli/state/snapshot.h"
#include "proto/profile.pb.h"
#include "tests/unit/catch.h"

namespace leakwatch {

namespace pb = perftools::profiles;

inline constexpr std::uint64_t kMainBase = 0x555500000000;
inline constexpr std::uint64_t kLibraryBase = 0x7f0000000000;

inline Frame frame(const std::string& function, const std::string& system_name, const std::string& file = "",
                   int line = 0, int start_line = 0) {
  return {function, system_name, file, line, start_line};
}

// Symbols as a table of literals: path and address in the file.
class FakeSymbols {
 public:
  FakeSymbols() {
    frames_[{"/opt/app/server", 0x1100}] = {frame("Cache::grow(int)", "_ZN5Cache4growEi", "/src/cache.h", 12, 10),
                                            frame("Cache::insert(int)", "_ZN5Cache6insertEi", "/src/cache.cc", 41, 30)};
    frames_[{"/opt/app/server", 0x1200}] = {frame("main", "main", "/src/main.cc", 7, 5)};
    frames_[{"/usr/lib/libextra.so.1", 0x2100}] = {frame("extra_init", "extra_init")};
  }

  void set(const std::string& path, std::uint64_t address, std::vector<Frame> frames) {
    frames_[{path, address}] = std::move(frames);
  }

  // How often was asked for frames.
  std::size_t lookups() const { return lookups_; }

  SymbolLookup lookup() {
    return {[this](const Module& module, std::uint64_t address) -> const std::vector<Frame>& {
              ++lookups_;
              const auto [entry, is_new] = frames_.try_emplace({module.path, address});
              const std::string name = name_by_offset(module, address);
              if (is_new) entry->second = {frame(name, name)};
              return entry->second;
            },
            [](const Module& module) {
              const bool is_main = module.path.starts_with("/opt/app/server");
              return SymbolSource{is_main, is_main};
            }};
  }

 private:
  std::map<std::pair<std::string, std::uint64_t>, std::vector<Frame>> frames_;
  std::size_t lookups_ = 0;
};

inline Module module_at(const std::string& path, const std::string& build_id, std::uint64_t bias) {
  return {path, build_id, bias, {{bias + 0x1000, bias + 0x5000, 0x1000}}};
}

// Lists hold stacks that do not change: these are others.
inline StackList changed(const StackList& stacks, const std::function<void(CodeAddress&)>& change) {
  StackList result;
  for (std::size_t i = 0; i < stacks.size(); ++i) {
    StackTrace stack = stacks[i];
    std::for_each(stack.begin(), stack.end(), change);
    result.push_back(std::move(stack));
  }
  return result;
}

inline StackList reversed(const StackList& stacks) {
  StackList result;
  for (std::size_t i = stacks.size(); i > 0; --i) result.push_back(stacks[i - 1]);
  return result;
}

// Two modules, four sites: one with inlined frames, one through the library, one truncated, one not recorded.
inline HeapSnapshot server(std::uint64_t shift = 0) {
  const std::uint64_t main_bias = kMainBase + shift;
  const std::uint64_t library_bias = kLibraryBase + 3 * shift;
  HeapSnapshot snapshot;
  snapshot.time_ns = 1'700'000'000'000'000'000;
  snapshot.sample_interval = 524288;
  snapshot.resident_bytes = 50 << 20;
  snapshot.command = "./server --port 8080";
  snapshot.modules = {module_at("/opt/app/server", "0a1b2c3d", main_bias),
                      module_at("/usr/lib/libextra.so.1", "ffee00", library_bias)};
  const CodeAddress insert{main_bias + 0x1100, 0};
  const CodeAddress start{main_bias + 0x1200, 0};
  const CodeAddress cut{1, CodeAddress::kMarkFrame};
  const CodeAddress nobody{2, CodeAddress::kMarkFrame};
  snapshot.stacks = {{insert, start}, {{library_bias + 0x2100, 1}, start, nobody}, {insert, cut}, {}};
  snapshot.samples = {{0, 64, {10, 640, 4, 256}},
                      {0, 128, {3, 384, 3, 384}},
                      {1, 4096, {2, 8192, 1, 4096}},
                      {2, 64, {7, 448, 7, 448}},
                      {3, 64, {5, 320, 5, 320}}};
  return snapshot;
}

inline pb::Profile profile_of(const HeapSnapshot& snapshot, HeapProfileKind kind = HeapProfileKind::kHeap) {
  FakeSymbols symbols;
  pb::Profile profile;
  REQUIRE(profile.ParseFromString(build_heap_profile(snapshot, symbols.lookup(), kind)));
  return profile;
}

inline pb::Profile parsed(const std::string& bytes) {
  pb::Profile profile;
  REQUIRE(profile.ParseFromString(bytes));
  return profile;
}

inline std::string bytes_of(const HeapSnapshot& snapshot) {
  FakeSymbols symbols;
  return build_heap_profile(snapshot, symbols.lookup(), HeapProfileKind::kHeap);
}

inline const std::string& text(const pb::Profile& profile, std::int64_t id) {
  return profile.string_table(static_cast<int>(id));
}

inline const pb::Location& location(const pb::Profile& profile, std::uint64_t id) {
  return profile.location(static_cast<int>(id) - 1);
}

inline std::vector<std::string> function_names(const pb::Profile& profile, const pb::Sample& sample) {
  std::vector<std::string> names;
  for (const std::uint64_t id : sample.location_id()) {
    for (const pb::Line& line : location(profile, id).line()) {
      names.push_back(text(profile, profile.function(static_cast<int>(line.function_id()) - 1).name()));
    }
  }
  return names;
}

inline std::vector<std::string> comments(const pb::Profile& profile) {
  std::vector<std::string> texts;
  for (const std::int64_t id : profile.comment()) texts.push_back(text(profile, id));
  return texts;
}

inline bool contains(const std::vector<std::string>& texts, const std::string& part) {
  return std::any_of(texts.begin(), texts.end(),
                     [&part](const std::string& each) { return each.find(part) != std::string::npos; });
}

inline std::vector<std::int64_t> totals(const pb::Profile& profile) {
  std::vector<std::int64_t> sums(static_cast<std::size_t>(profile.sample_type_size()));
  for (const pb::Sample& sample : profile.sample()) {
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += sample.value(static_cast<int>(i));
  }
  return sums;
}

// Values by the functions of the stack, "leaf;caller".
inline std::map<std::string, std::vector<std::int64_t>> values_by_stack(const pb::Profile& profile) {
  std::map<std::string, std::vector<std::int64_t>> values;
  for (const pb::Sample& sample : profile.sample()) {
    std::string stack;
    for (const std::string& name : function_names(profile, sample)) stack += (stack.empty() ? "" : ";") + name;
    values[stack] = {sample.value().begin(), sample.value().end()};
  }
  return values;
}

// What every reader counts on, whatever the profile is about.
inline void require_well_formed(const pb::Profile& profile) {
  REQUIRE(profile.string_table(0).empty());
  for (int i = 0; i < profile.mapping_size(); ++i) {
    REQUIRE(profile.mapping(i).id() == static_cast<std::uint64_t>(i) + 1);
    REQUIRE(profile.mapping(i).has_functions());
    REQUIRE(profile.mapping(i).memory_start() < profile.mapping(i).memory_limit());
  }
  for (int i = 0; i < profile.function_size(); ++i) {
    REQUIRE(profile.function(i).id() == static_cast<std::uint64_t>(i) + 1);
    REQUIRE(profile.function(i).name() != 0);
  }
  for (int i = 0; i < profile.location_size(); ++i) {
    REQUIRE(profile.location(i).id() == static_cast<std::uint64_t>(i) + 1);
    REQUIRE(profile.location(i).address() != 0);
    REQUIRE(profile.location(i).line_size() >= 1);
    REQUIRE(profile.location(i).mapping_id() <= static_cast<std::uint64_t>(profile.mapping_size()));
  }
  for (const pb::Sample& sample : profile.sample()) {
    REQUIRE(sample.value_size() == profile.sample_type_size());
    REQUIRE(sample.location_id_size() >= 1);
  }
}

}  // namespace leakwatch
