// SPDX-License-Identifier: Apache-2.0
//
// Where the object is that goes into the target: beside the installed CLI, or in the build folder.
#pragma once

#include <string>

namespace leakwatch {

// `with_operators`: the variant that also stands in front of the C++ operators. Throws Error when it is missing.
std::string preload_object(bool with_operators);

}  // namespace leakwatch
