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
#include "cli/profile.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <map>
#include <new>
#include <stdexcept>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "cli/error.h"
#include "proto/profile.pb.h"
#include "proto/shared_memory.h"

namespace leakwatch {
namespace {

namespace pb = perftools::profiles;

// Stands for a stack that the table refused: the first address after the marks that the target may send.
constexpr CodeAddress kNoStackFrame{shared::kLastMark + 1, CodeAddress::kMarkFrame};

bool continues(char byte) {
  return (static_cast<unsigned char>(byte) & 0xc0U) == 0x80U;
}

// Forms that are too long, surrogates and numbers past U+10FFFF all show in the second byte.
bool is_second_byte(unsigned char lead, char byte) {
  const auto second = static_cast<unsigned char>(byte);
  if (lead == 0xe0) return second >= 0xa0 && second <= 0xbf;
  if (lead == 0xed) return second >= 0x80 && second <= 0x9f;
  if (lead == 0xf0) return second >= 0x90 && second <= 0xbf;
  if (lead == 0xf4) return second >= 0x80 && second <= 0x8f;
  return continues(byte);
}

// Length of the UTF-8 sequence that `text` begins with, 0 when it begins with none. `text` is not empty.
std::size_t sequence_length(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return 1;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  const std::size_t length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (text.size() < length || !is_second_byte(lead, text[1])) return 0;
  return std::all_of(text.begin() + 2, text.begin() + static_cast<std::ptrdiff_t>(length), continues) ? length : 0;
}

// Names come out of other people's files, and a single bad byte makes a reader refuse the whole profile.
std::string valid_utf8(std::string_view text) {
  std::string valid;
  valid.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = sequence_length(text);
    valid += length > 0 ? text.substr(0, length) : "\xef\xbf\xbd";
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return valid;
}

std::string without_deleted(const std::string& path) {
  constexpr std::string_view kDeleted = " (deleted)";
  return path.ends_with(kDeleted) ? path.substr(0, path.size() - kDeleted.size()) : path;
}

std::uint64_t distance(const Segment& segment, std::uint64_t address) {
  if (address < segment.start) return segment.start - address;
  return address < segment.limit ? 0 : address - segment.limit + 1;
}

bool is_zero(const ProfileContent::Values& values) {
  return values == ProfileContent::Values{};
}

class StringTable {
 public:
  explicit StringTable(pb::Profile& profile) : profile_(profile) { id(""); }

  std::int64_t id(std::string_view text) {
    std::string valid = valid_utf8(text);
    const auto [entry, is_new] = ids_.try_emplace(valid, profile_.string_table_size());
    if (is_new) profile_.add_string_table(std::move(valid));
    return entry->second;
  }

 private:
  pb::Profile& profile_;
  std::unordered_map<std::string, std::int64_t> ids_;
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

// The snapshot's modules in an order of their own: the main executable, then by contents. Equal ones are one. Paths
// come before addresses, so that the order is the same in every run.
class ModuleTable {
 public:
  explicit ModuleTable(const std::vector<Module>& modules) {
    for (const Module& module : modules) modules_.push_back(normalized(module));
    const std::vector<Module> by_index = modules_;
    sort_and_merge();
    for (const Module& module : by_index) ranks_.push_back(rank(module));
  }

  const std::vector<Module>& modules() const { return modules_; }

  // The same address with `module` as an index of modules().
  CodeAddress translate(const CodeAddress& address) const {
    if (address.module >= CodeAddress::kMarkFrame) return address;
    return {address.address, ranks_.at(address.module)};
  }

 private:
  static bool precedes(const Module& a, const Module& b) {
    const auto name_of_a = std::tie(a.path, a.build_id, a.bias);
    const auto name_of_b = std::tie(b.path, b.build_id, b.bias);
    if (name_of_a != name_of_b) return name_of_a < name_of_b;
    return std::lexicographical_compare(a.segments.begin(), a.segments.end(), b.segments.begin(), b.segments.end(),
                                        starts_before);
  }

  static bool starts_before(const Segment& a, const Segment& b) {
    return std::tie(a.start, a.limit, a.file_offset) < std::tie(b.start, b.limit, b.file_offset);
  }

  static Module normalized(Module module) {
    std::sort(module.segments.begin(), module.segments.end(), starts_before);
    // A module always gets a mapping, since its locations need one to be measured from.
    if (module.segments.empty()) module.segments.push_back({module.bias, module.bias + 0x1000, 0});
    return module;
  }

  void sort_and_merge() {
    if (modules_.empty()) return;
    const auto others = modules_.begin() + 1;
    std::sort(others, modules_.end(), precedes);
    modules_.erase(std::unique(others, modules_.end()), modules_.end());
    modules_.erase(std::remove(others, modules_.end(), modules_.front()), modules_.end());
  }

  std::uint32_t rank(const Module& module) const {
    return static_cast<std::uint32_t>(std::find(modules_.begin(), modules_.end(), module) - modules_.begin());
  }

  std::vector<Module> modules_;
  std::vector<std::uint32_t> ranks_;
};

class ProfileBuilder {
 public:
  ProfileBuilder(const ProfileContent& content, const SymbolLookup& symbols)
      : content_(content),
        symbols_(symbols),
        strings_(profile_),
        functions_(profile_, strings_),
        modules_(content.modules) {}

  std::string build() {
    add_header();
    collect_addresses();
    add_mappings();
    add_locations();
    add_samples();
    add_comments();
    return serialized();
  }

 private:
  // A sample on its way: locations and labels are its key.
  struct Row {
    std::vector<std::uint64_t> locations;
    const ProfileContent::Sample* sample;
    ProfileContent::Values values;
    auto key() const { return std::tie(locations, sample->number, sample->text); }
  };

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

  // Addresses of the samples that will be written, in the order of their locations.
  void collect_addresses() {
    std::vector<bool> is_used(content_.stacks.size());
    for (const ProfileContent::Sample& sample : content_.samples) {
      if (!is_zero(sample.values)) is_used.at(sample.stack) = true;
    }
    for (std::size_t i = 0; i < is_used.size(); ++i) {
      if (!is_used[i]) continue;
      for (const CodeAddress& address : content_.stacks[i]) addresses_.push_back(modules_.translate(address));
      if (content_.stacks[i].empty()) addresses_.push_back(kNoStackFrame);
    }
    std::sort(addresses_.begin(), addresses_.end(), precedes);
    addresses_.erase(std::unique(addresses_.begin(), addresses_.end()), addresses_.end());
  }

  static bool precedes(const CodeAddress& a, const CodeAddress& b) {
    return std::tie(a.module, a.address) < std::tie(b.module, b.address);
  }

  void add_mappings() {
    for (std::size_t i = 0; i < modules_.modules().size(); ++i) {
      const Module& module = modules_.modules()[i];
      const bool is_used = has_addresses(static_cast<std::uint32_t>(i));
      // The main executable's flags count even without a location: merging takes them from the first profile.
      const SymbolSource source = is_used || i == 0 ? symbols_.source(module) : SymbolSource{};
      if (is_used && !source.functions) without_symbols_.push_back(without_deleted(module.path));
      first_mapping_.push_back(static_cast<std::uint64_t>(profile_.mapping_size()) + 1);
      for (const Segment& segment : module.segments) add_mapping(module, segment, source);
    }
  }

  bool has_addresses(std::uint32_t module) const {
    const auto first = std::lower_bound(addresses_.begin(), addresses_.end(), CodeAddress{0, module}, precedes);
    return first != addresses_.end() && first->module == module;
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

  void add_locations() {
    for (const CodeAddress& address : addresses_) {
      pb::Location& location = *profile_.add_location();
      location.set_id(static_cast<std::uint64_t>(profile_.location_size()));
      // Readers take 0 for "no address".
      location.set_address(std::max<std::uint64_t>(address.address, 1));
      if (address.module >= CodeAddress::kMarkFrame) {
        add_line(location, frame_named(name_of(address)));
        continue;
      }
      location.set_mapping_id(mapping_id(address));
      add_lines(location, address);
    }
  }

  static std::string_view name_of(const CodeAddress& address) {
    return address == kNoStackFrame ? kStackNotRecorded : name_without_module(address);
  }

  static Frame frame_named(std::string_view name) {
    Frame frame;
    frame.function = frame.system_name = name;
    return frame;
  }

  // An address in none of the module's segments (a gap between two of them) belongs to the nearest.
  std::uint64_t mapping_id(const CodeAddress& address) const {
    const std::vector<Segment>& segments = modules_.modules()[address.module].segments;
    const auto nearest =
        std::min_element(segments.begin(), segments.end(), [&address](const Segment& a, const Segment& b) {
          return distance(a, address.address) < distance(b, address.address);
        });
    return first_mapping_[address.module] + static_cast<std::uint64_t>(nearest - segments.begin());
  }

  void add_lines(pb::Location& location, const CodeAddress& address) {
    const Module& module = modules_.modules()[address.module];
    const std::uint64_t in_file = address.address - module.bias;
    const std::vector<Frame>& frames = symbols_.frames(module, in_file);
    for (const Frame& frame : frames) add_line(location, frame);
    if (frames.empty()) add_line(location, frame_named(name_by_offset(module, in_file)));
  }

  void add_line(pb::Location& location, const Frame& frame) {
    pb::Line& line = *location.add_line();
    line.set_function_id(functions_.id(frame));
    line.set_line(frame.line);
  }

  void add_samples() {
    std::vector<Row> rows = sorted_rows();
    for (std::size_t i = 0; i < rows.size();) {
      Row& row = rows[i];
      for (++i; i < rows.size() && rows[i].key() == row.key(); ++i) {
        for (std::size_t k = 0; k < row.values.size(); ++k) row.values[k] += rows[i].values[k];
      }
      add_sample(row);
    }
  }

  std::vector<Row> sorted_rows() const {
    std::vector<Row> rows;
    for (const ProfileContent::Sample& sample : content_.samples) {
      if (!is_zero(sample.values))
        rows.push_back({location_ids(content_.stacks[sample.stack]), &sample, sample.values});
    }
    std::sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.key() < b.key(); });
    return rows;
  }

  std::vector<std::uint64_t> location_ids(const StackTrace& stack) const {
    if (stack.empty()) return {location_id(kNoStackFrame)};
    std::vector<std::uint64_t> ids;
    ids.reserve(stack.size());
    for (const CodeAddress& address : stack) ids.push_back(location_id(modules_.translate(address)));
    return ids;
  }

  std::uint64_t location_id(const CodeAddress& address) const {
    const auto found = std::lower_bound(addresses_.begin(), addresses_.end(), address, precedes);
    return static_cast<std::uint64_t>(found - addresses_.begin()) + 1;
  }

  void add_sample(const Row& row) {
    pb::Sample& sample = *profile_.add_sample();
    sample.mutable_location_id()->Add(row.locations.begin(), row.locations.end());
    for (std::size_t i = 0; i < content_.types.size(); ++i) sample.add_value(row.values[i]);
    if (!content_.number_label.name.empty()) {
      pb::Label& label = *sample.add_label();
      label.set_key(strings_.id(content_.number_label.name));
      label.set_num(row.sample->number);
      label.set_num_unit(strings_.id(content_.number_label.unit));
    }
    if (!content_.text_label.empty() && !row.sample->text.empty()) {
      pb::Label& label = *sample.add_label();
      label.set_key(strings_.id(content_.text_label));
      label.set_str(strings_.id(row.sample->text));
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
  pb::Profile profile_;
  StringTable strings_;
  FunctionTable functions_;
  ModuleTable modules_;
  std::vector<CodeAddress> addresses_;  // sorted; a location's id is its index plus one
  std::vector<std::uint64_t> first_mapping_;
  std::vector<std::string> without_symbols_;
};

}  // namespace

std::string build_profile(const ProfileContent& content, const SymbolLookup& symbols) {
  return ProfileBuilder(content, symbols).build();
}

std::string gzip(const std::string& bytes) {
  constexpr int kGzipHeader = 16;
  constexpr int kMemoryLevel = 8;
  if (bytes.size() > std::numeric_limits<uInt>::max() / 2) throw Error("the profile is too large to be compressed");
  z_stream stream{};
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, MAX_WBITS + kGzipHeader, kMemoryLevel,
                   Z_DEFAULT_STRATEGY) != Z_OK) {
    throw std::bad_alloc();
  }
  // Room for the worst case, so that one call does it.
  std::string compressed(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(compressed.data());
  stream.avail_out = static_cast<uInt>(compressed.size());
  const int result = deflate(&stream, Z_FINISH);
  compressed.resize(stream.total_out);
  deflateEnd(&stream);
  if (result != Z_STREAM_END) throw std::logic_error("deflate stopped short of a buffer that it asked for");
  return compressed;
}

}  // namespace leakwatch
