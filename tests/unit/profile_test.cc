// SPDX-License-Identifier: Apache-2.0
//
// Holds profiles against the contract of pprof's readers: first field by field, then in the hands of the real
// `go tool pprof`, where one is installed. Every process here is made of literals; one is "run" again by shifting it in
// memory, as address randomisation would.
#include "cli/profile.h"
#include "cli/heap_profile.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "cli/report.h"
#include "proto/profile.pb.h"
#include "proto/shared_memory.h"
#include "tests/unit/catch.h"
#include "tests/unit/temporary_folder.h"

namespace leakwatch {
namespace {

namespace pb = perftools::profiles;

constexpr std::uint64_t kMainBase = 0x555500000000;
constexpr std::uint64_t kLibraryBase = 0x7f0000000000;

Frame frame(const std::string& function, const std::string& system_name, const std::string& file = "", int line = 0,
            int start_line = 0) {
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

  SymbolLookup lookup() {
    return {[this](const Module& module, std::uint64_t address) -> const std::vector<Frame>& {
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
};

Module module_at(const std::string& path, const std::string& build_id, std::uint64_t bias) {
  return {path, build_id, bias, {{bias + 0x1000, bias + 0x5000, 0x1000}}};
}

// Two modules, four sites: one with inlined frames, one through the library, one truncated, one not recorded.
HeapSnapshot server(std::uint64_t shift = 0) {
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

pb::Profile profile_of(const HeapSnapshot& snapshot, HeapProfileKind kind = HeapProfileKind::kHeap) {
  FakeSymbols symbols;
  pb::Profile profile;
  REQUIRE(profile.ParseFromString(build_heap_profile(snapshot, symbols.lookup(), kind)));
  return profile;
}

std::string bytes_of(const HeapSnapshot& snapshot) {
  FakeSymbols symbols;
  return build_heap_profile(snapshot, symbols.lookup(), HeapProfileKind::kHeap);
}

const std::string& text(const pb::Profile& profile, std::int64_t id) {
  return profile.string_table(static_cast<int>(id));
}

const pb::Location& location(const pb::Profile& profile, std::uint64_t id) {
  return profile.location(static_cast<int>(id) - 1);
}

std::vector<std::string> function_names(const pb::Profile& profile, const pb::Sample& sample) {
  std::vector<std::string> names;
  for (const std::uint64_t id : sample.location_id()) {
    for (const pb::Line& line : location(profile, id).line()) {
      names.push_back(text(profile, profile.function(static_cast<int>(line.function_id()) - 1).name()));
    }
  }
  return names;
}

std::vector<std::string> comments(const pb::Profile& profile) {
  std::vector<std::string> texts;
  for (const std::int64_t id : profile.comment()) texts.push_back(text(profile, id));
  return texts;
}

bool contains(const std::vector<std::string>& texts, const std::string& part) {
  return std::any_of(texts.begin(), texts.end(),
                     [&part](const std::string& each) { return each.find(part) != std::string::npos; });
}

bool contains(const std::string& whole, const std::string& part) {
  return whole.find(part) != std::string::npos;
}

// What every reader counts on, whatever the profile is about.
void require_well_formed(const pb::Profile& profile) {
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
    REQUIRE(sample.value_size() == 4);
    REQUIRE(sample.location_id_size() >= 1);
  }
}

struct CommandResult {
  int status = -1;
  std::string output;  // both streams: a complaint is as interesting as an answer
};

CommandResult run(const std::string& command) {
  FILE* const pipe = popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error("popen");
  CommandResult result;
  std::array<char, 4096> buffer{};
  for (std::size_t count = 0; (count = fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) {
    result.output.append(buffer.data(), count);
  }
  result.status = pclose(pipe);
  return result;
}

bool have_go() {
  static const bool kHaveGo = run("go version").status == 0;
  if (!kHaveGo) WARN("no go on PATH: profiles were not tried on go tool pprof");
  return kHaveGo;
}

class ProfileFiles {
 public:
  std::string write(const std::string& name, const std::string& profile_bytes) const {
    std::string path = (folder_.path() / name).string();
    std::ofstream(path, std::ios::binary) << gzip(profile_bytes);
    return path;
  }

 private:
  TemporaryFolder folder_;
};

// Fails when pprof fails, or when it had to look for symbols by itself.
std::string pprof(const std::string& arguments) {
  const CommandResult result = run("go tool pprof " + arguments);
  INFO("go tool pprof " << arguments << "\n" << result.output);
  REQUIRE(result.status == 0);
  REQUIRE_FALSE(contains(result.output, "ymbolization"));
  REQUIRE_FALSE(contains(result.output, "not available"));
  return result.output;
}

// The lines between "Samples:" and "Locations" of -raw, without the line that names the columns.
std::vector<std::string> raw_samples(const std::string& raw) {
  std::vector<std::string> lines;
  std::istringstream stream(raw.substr(raw.find("Samples:\n")));
  std::string line;
  std::getline(stream, line);
  std::getline(stream, line);
  while (std::getline(stream, line) && line != "Locations") lines.push_back(line);
  return lines;
}

}  // namespace

TEST_CASE("a heap profile has pprof's four columns, and its period") {
  const pb::Profile profile = profile_of(server());
  require_well_formed(profile);
  std::vector<std::string> types;
  for (const pb::ValueType& type : profile.sample_type()) {
    types.push_back(text(profile, type.type()) + "/" + text(profile, type.unit()));
  }
  CHECK(types == std::vector<std::string>{"alloc_objects/count", "alloc_space/bytes", "inuse_objects/count",
                                          "inuse_space/bytes"});
  CHECK(text(profile, profile.period_type().type()) == "space");
  CHECK(text(profile, profile.period_type().unit()) == "bytes");
  CHECK(profile.period() == 524288);
  CHECK(profile.time_nanos() == 1'700'000'000'000'000'000);
  CHECK(profile.duration_nanos() == 0);
  CHECK(profile.doc_url() == 0);
}

TEST_CASE("only allocs sets a default sample type") {
  CHECK(profile_of(server()).default_sample_type() == 0);
  const pb::Profile allocs = profile_of(server(), HeapProfileKind::kAllocs);
  CHECK(text(allocs, allocs.default_sample_type()) == "alloc_space");
}

TEST_CASE("samples carry their counts and the size label") {
  const pb::Profile profile = profile_of(server());
  REQUIRE(profile.sample_size() == 5);
  const auto found = std::find_if(profile.sample().begin(), profile.sample().end(),
                                  [&](const pb::Sample& sample) { return sample.label(0).num() == 4096; });
  REQUIRE(found != profile.sample().end());
  CHECK(std::vector<std::int64_t>(found->value().begin(), found->value().end()) ==
        std::vector<std::int64_t>{2, 8192, 1, 4096});
  CHECK(text(profile, found->label(0).key()) == "bytes");
  CHECK(text(profile, found->label(0).num_unit()) == "bytes");
  CHECK(found->label(0).str() == 0);
  CHECK(function_names(profile, *found) ==
        std::vector<std::string>{"extra_init", "main", "[leakwatch: unknown caller]"});
}

TEST_CASE("mappings: the main executable first, truthful flags, build ids") {
  HeapSnapshot snapshot = server();
  snapshot.modules[0].path += " (deleted)";
  const pb::Profile profile = profile_of(snapshot);
  REQUIRE(profile.mapping_size() == 2);
  CHECK(text(profile, profile.mapping(0).filename()) == "/opt/app/server");
  CHECK(text(profile, profile.mapping(0).build_id()) == "0a1b2c3d");
  CHECK(profile.mapping(0).memory_start() == kMainBase + 0x1000);
  CHECK(profile.mapping(0).memory_limit() == kMainBase + 0x5000);
  CHECK(profile.mapping(0).file_offset() == 0x1000);
  CHECK(profile.mapping(0).has_line_numbers());
  CHECK(profile.mapping(0).has_filenames());
  CHECK(profile.mapping(0).has_inline_frames());
  CHECK_FALSE(profile.mapping(1).has_line_numbers());
  CHECK_FALSE(profile.mapping(1).has_filenames());
  CHECK_FALSE(profile.mapping(1).has_inline_frames());
}

TEST_CASE("an address has all its inlined functions, innermost first") {
  const pb::Profile profile = profile_of(server());
  const pb::Location& first = profile.location(0);
  CHECK(first.address() == kMainBase + 0x1100);
  REQUIRE(first.line_size() == 2);
  CHECK(first.line(0).line() == 12);
  const pb::Function& inner = profile.function(static_cast<int>(first.line(0).function_id()) - 1);
  CHECK(text(profile, inner.name()) == "Cache::grow(int)");
  CHECK(text(profile, inner.system_name()) == "_ZN5Cache4growEi");
  CHECK(text(profile, inner.filename()) == "/src/cache.h");
  CHECK(inner.start_line() == 10);
}

TEST_CASE("each executable segment is a mapping; a gap belongs to the nearest") {
  HeapSnapshot snapshot = server();
  snapshot.modules[0].segments = {{kMainBase + 0x9000, kMainBase + 0xa000, 0x8000},
                                  {kMainBase + 0x1000, kMainBase + 0x2000, 0x1000}};
  snapshot.stacks = {{{kMainBase + 0x1800, 0}, {kMainBase + 0x2100, 0}, {kMainBase + 0x8000, 0}, {kMainBase, 0}}};
  snapshot.samples = {{0, 8, {1, 8, 1, 8}}};
  const pb::Profile profile = profile_of(snapshot);
  require_well_formed(profile);
  REQUIRE(profile.mapping_size() == 3);
  CHECK(profile.mapping(1).file_offset() == 0x8000);
  std::map<std::uint64_t, std::uint64_t> mapping_of;
  for (const pb::Location& each : profile.location()) mapping_of[each.address() - kMainBase] = each.mapping_id();
  CHECK(mapping_of == std::map<std::uint64_t, std::uint64_t>{{0, 1}, {0x1800, 1}, {0x2100, 1}, {0x8000, 2}});
}

TEST_CASE("a library that took an unloaded one's place has a mapping of its own") {
  HeapSnapshot snapshot = server();
  snapshot.modules.push_back(module_at("/usr/lib/libother.so", "abcd", kLibraryBase));
  snapshot.stacks.push_back({{kLibraryBase + 0x2100, 2}});
  snapshot.samples.push_back({4, 64, {1, 64, 1, 64}});
  const pb::Profile profile = profile_of(snapshot);
  require_well_formed(profile);
  REQUIRE(profile.mapping_size() == 3);
  std::vector<std::uint64_t> mappings;
  for (const pb::Location& each : profile.location()) {
    if (each.address() == kLibraryBase + 0x2100) mappings.push_back(each.mapping_id());
  }
  CHECK(mappings == std::vector<std::uint64_t>{2, 3});
}

TEST_CASE("a library that was loaded twice at one place is one mapping") {
  HeapSnapshot snapshot = server();
  snapshot.modules.push_back(snapshot.modules[1]);
  snapshot.modules.push_back(snapshot.modules[0]);
  snapshot.stacks.push_back({{kLibraryBase + 0x2100, 2}, {kMainBase + 0x1200, 3}});
  snapshot.samples.push_back({4, 64, {1, 64, 1, 64}});
  const pb::Profile profile = profile_of(snapshot);
  require_well_formed(profile);
  CHECK(profile.mapping_size() == 2);
  CHECK(profile.location_size() == 6);
}

TEST_CASE("frames of nobody have fixed addresses, names, and no mapping") {
  HeapSnapshot snapshot = server();
  snapshot.stacks.push_back({{0x7e1234, CodeAddress::kNoModule}, {0, CodeAddress::kNoModule}});
  snapshot.samples.push_back({4, 64, {1, 64, 1, 64}});
  const pb::Profile profile = profile_of(snapshot);
  require_well_formed(profile);
  std::map<std::string, std::vector<std::uint64_t>> addresses;
  for (const pb::Location& each : profile.location()) {
    if (each.mapping_id() != 0) continue;
    const pb::Function& function = profile.function(static_cast<int>(each.line(0).function_id()) - 1);
    addresses[text(profile, function.name())].push_back(each.address());
  }
  CHECK(addresses == std::map<std::string, std::vector<std::uint64_t>>{{"[leakwatch: deeper frames cut]", {1}},
                                                                       {"[leakwatch: unknown caller]", {2}},
                                                                       {"[leakwatch: stack not recorded]", {3}},
                                                                       {"[unknown code]", {1, 0x7e1234}}});
}

TEST_CASE("a site without live blocks stays, a site without any counts goes, equal sites are one") {
  HeapSnapshot snapshot = server();
  snapshot.stacks.push_back(snapshot.stacks[0]);
  snapshot.stacks.push_back({{kMainBase + 0x3000, 0}});
  snapshot.samples = {{0, 64, {1, 64, 0, 0}}, {4, 64, {2, 128, 1, 64}}, {5, 64, {}}, {1, 8, {1, 8, 0, 0}}};
  const pb::Profile profile = profile_of(snapshot);
  require_well_formed(profile);
  REQUIRE(profile.sample_size() == 2);
  CHECK(profile.sample(0).value(0) == 3);
  CHECK(profile.sample(0).value(1) == 192);
  CHECK(profile.sample(0).value(2) == 1);
  CHECK(profile.sample(1).value(0) == 1);
  CHECK(profile.sample(1).value(3) == 0);
  for (const pb::Location& each : profile.location()) CHECK(each.address() != kMainBase + 0x3000);
}

TEST_CASE("the same state gives the same bytes in any order") {
  HeapSnapshot snapshot = server();
  snapshot.modules.push_back(module_at("/usr/lib/libaaa.so", "", kLibraryBase + 0x100000));
  snapshot.stacks.push_back({{kLibraryBase + 0x102000, 2}, {kMainBase + 0x1200, 0}});
  snapshot.samples.push_back({4, 64, {1, 64, 1, 64}});
  HeapSnapshot shuffled = snapshot;
  std::swap(shuffled.modules[1], shuffled.modules[2]);
  for (StackTrace& stack : shuffled.stacks) {
    for (CodeAddress& address : stack) {
      if (address.module == 1 || address.module == 2) address.module = 3 - address.module;
    }
  }
  std::reverse(shuffled.stacks.begin(), shuffled.stacks.end());
  for (HeapSample& sample : shuffled.samples) sample.stack = 4 - sample.stack;
  std::rotate(shuffled.samples.begin(), shuffled.samples.begin() + 2, shuffled.samples.end());
  CHECK(bytes_of(shuffled) == bytes_of(snapshot));
  CHECK(gzip(bytes_of(shuffled)) == gzip(bytes_of(snapshot)));
}

TEST_CASE("bad bytes in names are replaced") {
  FakeSymbols symbols;
  const std::string bad =
      "a\xff"
      "b\xc0\xaf"
      "c\xed\xa0\x80"
      "d\xf4\x90\x80\x80"
      "e\xe2\x82";
  const std::string good = "\xc3\xa9\xe2\x82\xac\xf0\x9f\x8e\x89\xef\xbf\xbf\xf4\x8f\xbf\xbf";
  symbols.set("/opt/app/server", 0x1200, {frame(bad, bad), frame(good, good)});
  pb::Profile profile;
  REQUIRE(profile.ParseFromString(build_heap_profile(server(), symbols.lookup(), HeapProfileKind::kHeap)));
  const std::string r = "\xef\xbf\xbd";
  const auto has = [&profile](const std::string& each) {
    return std::count(profile.string_table().begin(), profile.string_table().end(), each) == 1;
  };
  CHECK(has("a" + r + "b" + r + r + "c" + r + r + r + "d" + r + r + r + r + "e" + r + r));
  CHECK(has(good));
}

TEST_CASE("comments say what was not seen") {
  HeapSnapshot snapshot = server();
  snapshot.blindness.lost_allocations = 12;
  snapshot.blindness.notes = {"jemalloc is linked into the program."};
  const std::vector<std::string> texts = comments(profile_of(snapshot));
  CHECK(contains(texts, "./server --port 8080"));
  CHECK(contains(texts, "512 KiB"));
  CHECK(contains(texts, "No symbols in /usr/lib/libextra.so.1."));
  CHECK(contains(texts, "50.0 MiB of memory in all"));
  for (const std::string& sentence : blindness_sentences(snapshot.blindness)) CHECK(contains(texts, sentence));
}

TEST_CASE("an exact session has period 1 and says so") {
  HeapSnapshot snapshot = server();
  snapshot.sample_interval = 1;
  const pb::Profile profile = profile_of(snapshot);
  CHECK(profile.period() == 1);
  CHECK(contains(comments(profile), "every allocation was counted"));
}

TEST_CASE("nothing at all is a valid profile") {
  const pb::Profile profile = profile_of(HeapSnapshot{});
  require_well_formed(profile);
  CHECK(profile.sample_type_size() == 4);
  CHECK(profile.sample_size() == 0);
  CHECK(profile.mapping_size() == 0);
}

TEST_CASE("a main executable without segments or symbols still has its mapping") {
  HeapSnapshot snapshot = server();
  snapshot.modules[0].segments.clear();
  const SymbolLookup none{[](const Module&, std::uint64_t) -> const std::vector<Frame>& {
                            static const std::vector<Frame> kNone;
                            return kNone;
                          },
                          [](const Module&) { return SymbolSource{}; }};
  pb::Profile profile;
  REQUIRE(profile.ParseFromString(build_heap_profile(snapshot, none, HeapProfileKind::kHeap)));
  require_well_formed(profile);
  CHECK(contains(function_names(profile, profile.sample(0)), "server+0x1100"));
}

TEST_CASE("gzip round-trips, and its head has no time and no name") {
  for (const std::string& bytes : {std::string(), std::string("x"), std::string(1'000'000, 'y')}) {
    const std::string compressed = gzip(bytes);
    REQUIRE(compressed.size() >= 18);
    CHECK(compressed.substr(0, 8) == std::string("\x1f\x8b\x08\0\0\0\0\0", 8));
    std::string restored(bytes.size() + 1, '\0');
    z_stream stream{};
    REQUIRE(inflateInit2(&stream, MAX_WBITS + 16) == Z_OK);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(compressed.data()));
    stream.avail_in = static_cast<uInt>(compressed.size());
    stream.next_out = reinterpret_cast<Bytef*>(restored.data());
    stream.avail_out = static_cast<uInt>(restored.size());
    CHECK(inflate(&stream, Z_FINISH) == Z_STREAM_END);
    restored.resize(stream.total_out);
    inflateEnd(&stream);
    CHECK(restored == bytes);
  }
}

TEST_CASE("twenty thousand samples") {
  HeapSnapshot snapshot = server();
  snapshot.stacks.clear();
  snapshot.samples.clear();
  for (std::uint32_t i = 0; i < 20'000; ++i) {
    StackTrace stack;
    for (std::uint64_t depth = 0; depth < 24; ++depth) {
      stack.push_back({kMainBase + 0x1000 + (std::uint64_t{i} * 7 + depth * 131) % 0x4000, 0});
    }
    snapshot.stacks.push_back(std::move(stack));
    snapshot.samples.push_back({i, 64, {1, 64, 1, 64}});
  }
  const pb::Profile profile = profile_of(snapshot);
  require_well_formed(profile);
  std::int64_t live = 0;
  for (const pb::Sample& sample : profile.sample()) live += sample.value(3);
  CHECK(live == std::int64_t{20'000} * 64);
}

TEST_CASE("go tool pprof shows what is live") {
  if (!have_go()) return;
  const ProfileFiles files;
  const std::string path = files.write("heap.pb.gz", bytes_of(server()));
  const std::string top = pprof("-top " + path);
  CHECK(contains(top, "File: server"));
  CHECK(contains(top, "Type: inuse_space"));
  CHECK(contains(top, "Cache::grow(int)"));
  CHECK(contains(top, "main"));
  CHECK(contains(top, "[leakwatch: stack not recorded]"));
  const std::string traces = pprof("-traces -sample_index=alloc_objects " + path);
  CHECK(contains(traces, "[leakwatch: deeper frames cut]"));
  CHECK(contains(traces, "extra_init"));
  const std::string raw = pprof("-raw " + path);
  CHECK(raw_samples(raw).size() == 10);
  CHECK(contains(raw, "bytes:[4096"));
  CHECK(contains(pprof("-comments " + path), "./server --port 8080"));
}

TEST_CASE("go tool pprof shows the allocations of an allocs profile") {
  if (!have_go()) return;
  const ProfileFiles files;
  FakeSymbols symbols;
  const std::string path =
      files.write("allocs.pb.gz", build_heap_profile(server(), symbols.lookup(), HeapProfileKind::kAllocs));
  CHECK(contains(pprof("-top " + path), "Type: alloc_space"));
}

TEST_CASE("two runs at different addresses subtract to nothing") {
  if (!have_go()) return;
  const ProfileFiles files;
  const std::string first = files.write("first.pb.gz", bytes_of(server()));
  const std::string second = files.write("second.pb.gz", bytes_of(server(0x12345000)));
  const std::string both = first + " " + second;
  CHECK(raw_samples(pprof("-raw -base " + both)).empty());
  CHECK(contains(pprof("-top -base " + both), "Showing nodes accounting for 0, "));
  // -diff_base keeps both sides of each sample, so only the sums meet.
  CHECK(contains(pprof("-top -diff_base " + both), "Showing nodes accounting for 0, "));
}

TEST_CASE("one more site is all that is left of a subtraction") {
  if (!have_go()) return;
  const ProfileFiles files;
  const std::string first = files.write("first.pb.gz", bytes_of(server()));
  HeapSnapshot grown = server(0x7000);
  grown.stacks.push_back({{kLibraryBase + 0x15000 + 0x2100, 1}, {kMainBase + 0x7000 + 0x1100, 0}});
  grown.samples.push_back({4, 32, {9, 288, 9, 288}});
  const std::string second = files.write("second.pb.gz", bytes_of(grown));
  const std::vector<std::string> left = raw_samples(pprof("-raw -base " + first + " " + second));
  REQUIRE(left.size() == 2);
  CHECK(contains(left[0], "9        288          9        288"));
  CHECK(contains(left[1], "bytes:[32"));
  const std::string top = pprof("-top -diff_base " + first + " " + second);
  CHECK(contains(top, "288B"));
  CHECK(contains(top, "extra_init"));
}

TEST_CASE("an empty profile is a base, and has a base, like any other") {
  if (!have_go()) return;
  const ProfileFiles files;
  HeapSnapshot nothing = server(0x9000);
  nothing.samples.clear();
  nothing.stacks.clear();
  const std::string empty = files.write("empty.pb.gz", bytes_of(nothing));
  const std::string full = files.write("full.pb.gz", bytes_of(server()));
  CHECK(contains(pprof("-top " + empty), "Type: inuse_space"));
  CHECK(raw_samples(pprof("-raw -base " + empty + " " + full)).size() == 10);
  CHECK(raw_samples(pprof("-raw -base " + full + " " + empty)).size() == 10);
  CHECK(raw_samples(pprof("-raw " + files.write("bare.pb.gz", gzip({})) + " " + full)).size() == 10);
}

TEST_CASE("go tool pprof keeps counts above 2^53 exact, and takes unknown code and reused addresses") {
  if (!have_go()) return;
  const ProfileFiles files;
  HeapSnapshot snapshot = server();
  constexpr std::int64_t kHuge = (std::int64_t{1} << 60) + 1;
  snapshot.modules.push_back(module_at("/usr/lib/libother.so", "abcd", kLibraryBase));
  snapshot.stacks.push_back({{0x7e1234, CodeAddress::kNoModule}, {kLibraryBase + 0x2100, 2}});
  snapshot.samples.push_back({4, std::uint64_t{1} << 63, {1, kHuge, 1, kHuge}});
  const std::string path = files.write("huge.pb.gz", bytes_of(snapshot));
  const std::string raw = pprof("-raw " + path);
  CHECK(contains(raw, "1152921504606846977"));
  CHECK(contains(raw, "libother.so+0x2100"));
  CHECK(contains(pprof("-top " + path), "[unknown code]"));
}

}  // namespace leakwatch
