// SPDX-License-Identifier: Apache-2.0
//
// See the header. The samples of the earlier moment are added with their values negated: whoever writes the profile
// sums what has equal stacks and labels anyway, also where the two moments number their stacks differently.

#include "cli/profile/profile_difference.h"

#include <fmt/format.h>

#include <utility>

namespace leakwatch {

void subtract(ProfileContent& after, ProfileContent before) {
  after.duration_ns = after.time_ns - before.time_ns;
  for (ProfileContent::Part& part : before.parts) {
    for (ProfileContent::Sample& sample : part.samples) {
      for (std::int64_t& value : sample.values) value = -value;
    }
    after.parts.push_back(std::move(part));
  }
  after.comments.push_back(
      fmt::format("A difference: what changed within {:.1f} s. What else is said here is about the end of that time.",
                  static_cast<double>(after.duration_ns) / 1e9));
}

}  // namespace leakwatch
