// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "cli/profile/frame_finder.h"

#include <cstdint>

namespace leakwatch {

const std::vector<Frame>& FrameFinder::at(const CodeAddress& address) {
  Frame& made_up = made_up_.front();
  if (address.module >= CodeAddress::kMarkFrame) {
    made_up.function = made_up.system_name = name_without_module(address);
    return made_up_;
  }
  const Module& module = modules_.at(address.module);
  const std::uint64_t in_file = address.address - module.bias;
  const std::vector<Frame>& frames = symbols_.frames(module, in_file);
  if (!frames.empty()) return frames;
  made_up.function = made_up.system_name = name_by_offset(module, in_file);
  return made_up_;
}

}  // namespace leakwatch
