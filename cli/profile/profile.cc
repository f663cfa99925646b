// SPDX-License-Identifier: Apache-2.0
//
// From samples and stacks to pprof's bytes. Two rules shape everything here.
//
// Equal contents give equal bytes. So whatever comes in an order of somebody's making (samples, stacks, modules) is
// sorted by its contents first, and ids and texts are given out while walking the sorted tables.
//
// Two runs of one program merge exactly. pprof recognises a location by its mapping, its distance from the mapping's
// start and its lines; the same location without a mapping by its bare address. So segments are written as they were
// mapped, and the frames that we put in ourselves stand at small fixed addresses without a mapping.
//
// Every mapping says that it has functions and every location has a line: a reader that finds one missing starts to
// look for symbols by itself, and fails where it finds none. Nothing here may read the target or its files.
#include "cli/profile/profile.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <google/protobuf/arena.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "cli/base/error.h"
#include "cli/base/utf8.h"
#include "cli/profile/frame_finder.h"
#include "cli/profile/location_table.h"
#include "cli/profile/module_table.h"
#include "cli/profile/profile_rows.h"
#include "proto/profile.pb.h"

namespace leakwatch {
namespace {

namespace pb = perftools::profiles;

std::uint64_t distance(const Segment& segment, std::uint64_t address) {
  if (address < segment.start) return segment.start - address;
  return address < segment.limit ? 0 : address - segment.limit + 1;
}

struct HashOfText {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};

class StringTable {
 public:
  explicit StringTable(pb::Profile& profile) : profile_(profile) { id(""); }

  std::int64_t id(std::string_view text) {
    // Nearly all texts are good ones that were there before.
    const auto known = ids_.find(text);
    if (known != ids_.end()) return known->second;
    const auto [entry, is_new] = ids_.try_emplace(valid_utf8(text), profile_.string_table_size());
    if (is_new) profile_.add_string_table(entry->first);
    return entry->second;
  }

 private:
  pb::Profile& profile_;
  std::unordered_map<std::string, std::int64_t, HashOfText, std::equal_to<>> ids_;
};

class FunctionTable {
 public:
  FunctionTable(pb::Profile& profile, StringTable& strings) : profile_(profile), strings_(strings) {}

  std::uint64_t id(const Frame& frame) {
    const Key key{strings_.id(frame.function), strings_.id(frame.system_name), strings_.id(frame.file),
                  frame.start_line};
    const auto [entry, is_new] = ids_.try_emplace(key, ids_.size() + 1);
    if (is_new) add(key, entry->second);
    return entry->second;
  }

 private:
  using Key = std::array<std::int64_t, 4>;

  void add(const Key& key, std::uint64_t id) {
    pb::Function& function = *profile_.add_function();
    function.set_id(id);
    function.set_name(key[0]);
    function.set_system_name(key[1]);
    function.set_filename(key[2]);
    function.set_start_line(key[3]);
  }

  pb::Profile& profile_;
  StringTable& strings_;
  std::map<Key, std::uint64_t> ids_;
};

class ProfileBuilder {
 public:
  ProfileBuilder(const ProfileContent& content, const SymbolLookup& symbols, const ModuleTable& modules,
                 const ProfileRows& rows)
      : content_(content),
        symbols_(symbols),
        modules_(modules.modules()),
        rows_(rows),
        frames_(modules_, symbols),
        strings_(profile_),
        functions_(profile_, strings_),
        locations_(rows) {}

  std::string build() {
    add_header();
    add_mappings();
    for (const CodeAddress& address : locations_.addresses()) add_location(address);
    for (const std::size_t row : locations_.order()) add_sample(row);
    add_comments();
    return serialized();
  }

 private:
  void add_header() {
    for (const ProfileContent::Type& type : content_.types) set_type(*profile_.add_sample_type(), type);
    set_type(*profile_.mutable_period_type(), content_.period_type);
    profile_.set_period(content_.period);
    profile_.set_time_nanos(content_.time_ns);
    profile_.set_duration_nanos(content_.duration_ns);
    if (!content_.drop_frames.empty()) profile_.set_drop_frames(strings_.id(content_.drop_frames));
    if (!content_.default_type.empty()) profile_.set_default_sample_type(strings_.id(content_.default_type));
  }

  void set_type(pb::ValueType& value_type, const ProfileContent::Type& type) {
    value_type.set_type(strings_.id(type.name));
    value_type.set_unit(strings_.id(type.unit));
  }

  void add_mappings() {
    for (std::size_t i = 0; i < modules_.size(); ++i) {
      const Module& module = modules_[i];
      const bool is_used = locations_.has_module(static_cast<std::uint32_t>(i));
      // The main executable's flags count even without a location: merging takes them from the first profile.
      const SymbolSource source = is_used || i == 0 ? symbols_.source(module) : SymbolSource{};
      if (is_used && !source.functions) without_symbols_.push_back(without_deleted(module.path));
      first_mapping_.push_back(static_cast<std::uint64_t>(profile_.mapping_size()) + 1);
      for (const Segment& segment : module.segments) add_mapping(module, segment, source);
    }
  }

  void add_mapping(const Module& module, const Segment& segment, const SymbolSource& source) {
    pb::Mapping& mapping = *profile_.add_mapping();
    mapping.set_id(static_cast<std::uint64_t>(profile_.mapping_size()));
    mapping.set_memory_start(segment.start);
    mapping.set_memory_limit(segment.limit);
    mapping.set_file_offset(segment.file_offset);
    mapping.set_filename(strings_.id(without_deleted(module.path)));
    mapping.set_build_id(strings_.id(module.build_id));
    mapping.set_has_functions(true);
    mapping.set_has_filenames(source.lines);
    mapping.set_has_line_numbers(source.lines);
    mapping.set_has_inline_frames(source.lines);
  }

  void add_location(const CodeAddress& address) {
    pb::Location& location = *profile_.add_location();
    location.set_id(static_cast<std::uint64_t>(profile_.location_size()));
    // Readers take 0 for "no address".
    location.set_address(std::max<std::uint64_t>(address.address, 1));
    if (address.module < CodeAddress::kMarkFrame) location.set_mapping_id(mapping_id(address));
    for (const Frame& frame : frames_.at(address)) {
      pb::Line& line = *location.add_line();
      line.set_function_id(functions_.id(frame));
      line.set_line(frame.line);
    }
  }

  // An address in none of the module's segments (a gap between two of them) belongs to the nearest.
  std::uint64_t mapping_id(const CodeAddress& address) const {
    const std::vector<Segment>& segments = modules_[address.module].segments;
    const auto nearest =
        std::min_element(segments.begin(), segments.end(), [&address](const Segment& a, const Segment& b) {
          return distance(a, address.address) < distance(b, address.address);
        });
    return first_mapping_[address.module] + static_cast<std::uint64_t>(nearest - segments.begin());
  }

  void add_sample(std::size_t index) {
    const ProfileRows::Row& row = rows_.rows()[index];
    const std::span<const std::uint32_t> ids = locations_.ids(index);
    pb::Sample& sample = *profile_.add_sample();
    sample.mutable_location_id()->Add(ids.begin(), ids.end());
    for (std::size_t i = 0; i < content_.types.size(); ++i) sample.add_value(row.values[i]);
    if (!row.is_folded) add_labels(sample, row);
  }

  void add_labels(pb::Sample& sample, const ProfileRows::Row& row) {
    if (!content_.number_label.name.empty()) {
      pb::Label& label = *sample.add_label();
      label.set_key(strings_.id(content_.number_label.name));
      label.set_num(row.number);
      label.set_num_unit(strings_.id(content_.number_label.unit));
    }
    if (!content_.text_label.empty() && !row.text.empty()) {
      pb::Label& label = *sample.add_label();
      label.set_key(strings_.id(content_.text_label));
      label.set_str(strings_.id(row.text));
    }
  }

  void add_comments() {
    for (const std::string& sentence : content_.comments) add_comment(sentence);
    if (!without_symbols_.empty()) add_comment(fmt::format("No symbols in {}.", fmt::join(without_symbols_, ", ")));
  }

  void add_comment(std::string_view text) { profile_.add_comment(strings_.id(text)); }

  std::string serialized() const {
    std::string bytes;
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    if (!profile_.SerializeToCodedStream(&coded)) {
      throw Error("the profile is larger than 2 GiB; record less of it with a larger sampling interval");
    }
    coded.Trim();
    return bytes;
  }

  const ProfileContent& content_;
  const SymbolLookup& symbols_;
  const std::vector<Module>& modules_;
  const ProfileRows& rows_;
  FrameFinder frames_;
  google::protobuf::Arena arena_;  // there are hundreds of thousands of small messages
  pb::Profile& profile_ = *google::protobuf::Arena::CreateMessage<pb::Profile>(&arena_);
  StringTable strings_;
  FunctionTable functions_;
  LocationTable locations_;
  std::vector<std::uint64_t> first_mapping_;
  std::vector<std::string> without_symbols_;
};

}  // namespace

std::string build_profile(const ProfileContent& content, const SymbolLookup& symbols, const ProfileLimits& limits) {
  const ModuleTable modules(content);
  ProfileRows rows(content, modules);
  return within_limits(rows, limits, [&] { return ProfileBuilder(content, symbols, modules, rows).build(); });
}

}  // namespace leakwatch
