// SPDX-License-Identifier: Apache-2.0
//
// See the header. A heap profile of 4 MiB, on one core: 37 ms and 1.16 MB at zlib's level 1, 100 ms and 1.11 MB at its
// default.

#include "cli/base/gzip.h"

#include <zlib.h>

#include <limits>
#include <new>
#include <stdexcept>

#include "cli/base/error.h"

namespace leakwatch {

std::string gzip(const std::string& bytes, Compression compression) {
  constexpr int kGzipHeader = 16;
  constexpr int kMemoryLevel = 8;
  const int level = compression == Compression::kFast ? Z_BEST_SPEED : Z_DEFAULT_COMPRESSION;
  if (bytes.size() > std::numeric_limits<uInt>::max() / 2) throw Error("the profile is too large to be compressed");
  z_stream stream{};
  if (deflateInit2(&stream, level, Z_DEFLATED, MAX_WBITS + kGzipHeader, kMemoryLevel, Z_DEFAULT_STRATEGY) != Z_OK) {
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
