// SPDX-License-Identifier: Apache-2.0
//
// The compression that readers of profiles expect around them. The only includer of zlib.
#pragma once

#include <string>

namespace leakwatch {

// For what lies on a disk for long, and for what somebody waits for.
enum class Compression { kSmall, kFast };

// gzip with no name and no time in its header: equal input, equal output.
std::string gzip(const std::string& bytes, Compression compression = Compression::kSmall);

}  // namespace leakwatch
