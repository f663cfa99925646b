// SPDX-License-Identifier: Apache-2.0
//
// profile-dump FILE: a profile as lines that a shell test can compare.
//
//   comment TEXT
//   type TYPE UNIT
//   mapping ID START LIMIT OFFSET BUILD_ID FILE
//   sample VALUE... BYTES_LABEL LEAF;CALLER;...      frames are functions, innermost first, inlined ones included
//   total VALUE...
//
// A reader of its own on purpose, with protobuf's generated code only: what the product writes is not checked with the
// product's own classes.

#include <fmt/format.h>
#include <zlib.h>

#include <map>
#include <string>
#include <vector>

#include "proto/profile.pb.h"

namespace {

std::string read_gzip(const char* path) {
  std::string bytes;
  gzFile file = gzopen(path, "rb");
  if (file == nullptr) return bytes;
  std::vector<char> buffer(1 << 16);
  for (int got; (got = gzread(file, buffer.data(), static_cast<unsigned>(buffer.size()))) > 0;)
    bytes.append(buffer.data(), static_cast<std::size_t>(got));
  gzclose(file);
  return bytes;
}

class Dump {
 public:
  explicit Dump(const perftools::profiles::Profile& profile) : profile_(profile) {
    for (const auto& function : profile.function()) functions_[function.id()] = text(function.name());
    for (const auto& location : profile.location()) {
      std::string names;
      for (const auto& line : location.line()) names += (names.empty() ? "" : ";") + functions_[line.function_id()];
      locations_[location.id()] = names;
    }
  }

  void print() const {
    for (const auto index : profile_.comment()) fmt::print("comment {}\n", text(index));
    for (const auto& type : profile_.sample_type()) fmt::print("type {} {}\n", text(type.type()), text(type.unit()));
    for (const auto& mapping : profile_.mapping())
      fmt::print("mapping {} {:#x} {:#x} {:#x} {} {}\n", mapping.id(), mapping.memory_start(), mapping.memory_limit(),
                 mapping.file_offset(), text(mapping.build_id()), text(mapping.filename()));
    std::vector<std::int64_t> totals(static_cast<std::size_t>(profile_.sample_type_size()));
    for (const auto& sample : profile_.sample()) {
      for (int i = 0; i < sample.value_size(); ++i) totals[static_cast<std::size_t>(i)] += sample.value(i);
      print_sample(sample);
    }
    fmt::print("total {}\n", fmt::join(totals, " "));
  }

 private:
  const std::string& text(std::int64_t index) const { return profile_.string_table(static_cast<int>(index)); }

  void print_sample(const perftools::profiles::Sample& sample) const {
    std::vector<std::string> frames;
    for (const auto id : sample.location_id()) frames.push_back(locations_.at(id));
    const std::int64_t bytes = sample.label_size() > 0 ? sample.label(0).num() : -1;
    fmt::print("sample {} {} {}\n", fmt::join(sample.value(), " "), bytes, fmt::join(frames, ";"));
  }

  const perftools::profiles::Profile& profile_;
  std::map<std::uint64_t, std::string> functions_, locations_;
};

}  // namespace

int main(int argc, char** argv) {
  perftools::profiles::Profile profile;
  if (argc != 2 || !profile.ParseFromString(read_gzip(argv[1])) || profile.string_table_size() == 0) {
    fmt::print(stderr, "profile-dump: no profile in {}\n", argc == 2 ? argv[1] : "FILE");
    return 1;
  }
  Dump(profile).print();
}
