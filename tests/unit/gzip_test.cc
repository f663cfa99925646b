// SPDX-License-Identifier: Apache-2.0
//
// What is compressed comes back, and equal input gives equal output.
#include "cli/base/gzip.h"

#include <zlib.h>

#include "tests/unit/catch.h"

namespace leakwatch {
namespace {

std::string restored(const std::string& compressed, std::size_t size) {
  std::string bytes(size + 1, '\0');
  z_stream stream{};
  REQUIRE(inflateInit2(&stream, MAX_WBITS + 16) == Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(compressed.data()));
  stream.avail_in = static_cast<uInt>(compressed.size());
  stream.next_out = reinterpret_cast<Bytef*>(bytes.data());
  stream.avail_out = static_cast<uInt>(bytes.size());
  CHECK(inflate(&stream, Z_FINISH) == Z_STREAM_END);
  bytes.resize(stream.total_out);
  inflateEnd(&stream);
  return bytes;
}

}  // namespace

TEST_CASE("gzip round-trips, and its head has no time and no name") {
  for (const std::string& bytes : {std::string(), std::string("x"), std::string(1'000'000, 'y')}) {
    for (const Compression compression : {Compression::kSmall, Compression::kFast}) {
      const std::string compressed = gzip(bytes, compression);
      REQUIRE(compressed.size() >= 18);
      CHECK(compressed.substr(0, 8) == std::string("\x1f\x8b\x08\0\0\0\0\0", 8));
      CHECK(restored(compressed, bytes.size()) == bytes);
    }
  }
}

}  // namespace leakwatch
