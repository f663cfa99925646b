// SPDX-License-Identifier: Apache-2.0
//
// Amounts as people type and read them, good and bad.
#include "cli/base/quantity.h"

#include <limits>
#include <utility>
#include <vector>

#include "cli/base/error.h"
#include "tests/unit/catch.h"

namespace leakwatch {
namespace {

using std::chrono::milliseconds;

template <class Parse>
std::string complaint_about(const char* text, Parse parse) {
  try {
    parse(text);
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("bytes have three digits and the unit that fits") {
  const std::vector<std::pair<std::int64_t, std::string>> cases{
      {0, "0 B"},
      {812, "812 B"},
      {1023, "1023 B"},
      {1024, "1.00 KiB"},
      {1536 * 1024, "1.50 MiB"},
      {10 * 1024 + 100, "10.1 KiB"},
      {10'234, "9.99 KiB"},
      {10'239, "10.0 KiB"},
      {123 * 1024, "123 KiB"},
      {1024 * 1024 - 1, "1.00 MiB"},
      {-1536 * 1024, "-1.50 MiB"},
      {-1, "-1 B"},
      {std::numeric_limits<std::int64_t>::max(), "8.00 EiB"},
      {std::numeric_limits<std::int64_t>::min(), "-8.00 EiB"},
  };
  for (const auto& [bytes, text] : cases) CHECK(format_bytes(bytes) == text);
  CHECK(format_change(1'572'864) == "+1.50 MiB");
  CHECK(format_change(-7) == "-7 B");
  CHECK(format_change(0) == "+0 B");
}

TEST_CASE("sizes are bytes in powers of 1024") {
  const std::vector<std::pair<const char*, std::uint64_t>> table = {
      {"0", 0},       {"1", 1},          {"4096", 4096},     {"4096B", 4096},   {"64KiB", 65536},
      {"64k", 65536}, {"64K", 65536},    {"64kb", 65536},    {"1MiB", 1 << 20}, {"1.5M", 3 << 19},
      {"0.5k", 512},  {"1mIb", 1 << 20}, {"2G", 2ull << 30}, {"1e3", 1000},     {"1024GiB", 1ull << 40}};
  for (const auto& [text, bytes] : table) CHECK(parse_size(text) == bytes);
}

TEST_CASE("what is no size is refused with an example") {
  for (const char* text : {"", "k", "-1", "-1k", "1x", "1 k", " 1", "1k ", "0x10", "nan", "inf", "1e999", "1TiB", "1kk",
                           "1.2.3", "1kib1", "+1"})
    CHECK(contains(complaint_about(text, parse_size), "64KiB"));
  CHECK(contains(complaint_about("1025GiB", parse_size), "1024 GiB"));
  CHECK(contains(complaint_about("1e300g", parse_size), "1024 GiB"));
}

TEST_CASE("durations are seconds unless they say otherwise") {
  const std::vector<std::pair<const char*, milliseconds>> table = {
      {"30", milliseconds(30'000)},  {"30s", milliseconds(30'000)},   {"500ms", milliseconds(500)},
      {"2m", milliseconds(120'000)}, {"2min", milliseconds(120'000)}, {"1h", milliseconds(3'600'000)},
      {"1.5s", milliseconds(1500)},  {"0", milliseconds(0)},          {"1d", milliseconds(86'400'000)},
      {"0.5ms", milliseconds(1)},    {"30S", milliseconds(30'000)},   {"366d", milliseconds(366ll * 86'400'000)}};
  for (const auto& [text, duration] : table) CHECK(parse_duration(text) == duration);
}

TEST_CASE("what is no duration is refused with an example") {
  for (const char* text : {"", "s", "-1s", "1w", "1 s", "nan", "inf", "infs", "1e999s", "1s2", "0x1s"})
    CHECK(contains(complaint_about(text, parse_duration), "500ms"));
  CHECK(contains(complaint_about("367d", parse_duration), "year"));
  CHECK(contains(complaint_about("1e300h", parse_duration), "year"));
}

TEST_CASE("a percentage is a share of up to all") {
  CHECK(parse_percentage("1%") == 0.01);
  CHECK(parse_percentage("0.5") == 0.005);
  CHECK(parse_percentage("100%") == 1);
  for (const char* text : {"0%", "101%", "-1%", "nan", "1 %", "%", ""})
    CHECK(complaint_about(text, parse_percentage) != "");
}

TEST_CASE("a share has two digits or more") {
  const std::vector<std::pair<double, std::string>> cases{
      {0.12345, "12%"}, {0.0073, "0.73%"}, {0.00025, "0.025%"}, {0.00000001, "<0.001%"}, {1, "100%"}};
  for (const auto& [share, text] : cases) CHECK(format_share(share) == text);
}

TEST_CASE("a count has its thousands apart") {
  CHECK(format_count(0) == "0");
  CHECK(format_count(999) == "999");
  CHECK(format_count(-1'234'567) == "-1,234,567");
  CHECK(format_count(1, "thread") == "1 thread");
  CHECK(format_count(0, "thread") == "0 threads");
  CHECK(format_count(-1000, "block") == "-1,000 blocks");
}

}  // namespace
}  // namespace leakwatch
