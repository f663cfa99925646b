// SPDX-License-Identifier: Apache-2.0
//
// How far what a snapshot shows can be relied on, in sentences: comments of a profile, lines of the summary, and of the
// live page.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/state/snapshot.h"

namespace leakwatch {

// How the figures came about: counted, but for what blindness_sentences() say, which are to follow; or estimated from
// samples `sample_interval` bytes apart in the mean; and when that was steered, between which limits it moved and what
// it cost.
std::vector<std::string> sampling_sentences(std::uint64_t sample_interval, const RecordingCost& cost,
                                            const Blindness& blindness);

// Sentences for everything in `blindness` that is not zero.
std::vector<std::string> blindness_sentences(const Blindness& blindness);

// `ns` of processor time as a share of the program's.
std::string share_of_program(std::uint64_t ns, const RecordingCost& cost);

}  // namespace leakwatch
