// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "cli/state/thread_snapshot.h"

#include <cctype>

namespace leakwatch {

ThreadCounters total(const ThreadSnapshot& snapshot) {
  ThreadCounters sum;
  for (const ThreadCreator& creator : snapshot.creators) sum += creator.counters;
  return sum;
}

std::string folded_name(const std::string& name) {
  std::string folded;
  for (const char c : name) {
    if (std::isdigit(static_cast<unsigned char>(c)) == 0)
      folded += c;
    else if (folded.empty() || folded.back() != '*')
      folded += '*';
  }
  return folded;
}

}  // namespace leakwatch
