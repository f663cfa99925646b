// SPDX-License-Identifier: Apache-2.0
//
// Linkage names turned into what people wrote, by libiberty: it knows the C++ ABI and both Rust manglings, and it drops
// the hash at the end of Rust's older one, which would otherwise change with every build and spoil a subtraction.
//
// It never guesses. libiberty also reads Ada, D and ancient compilers' names, where a plain C name can pass for a
// mangled one; only the two prefixes that C leaves to the implementation are tried.
#include <libiberty/demangle.h>

#include <cstdlib>
#include <memory>
#include <string>

#include "symbolize/symbolizer.h"

namespace leakwatch {
namespace {

struct FreeDeleter {
  void operator()(char* text) const { std::free(text); }  // malloc'ed by the library
};

bool looks_mangled(const std::string& name) {
  return name.starts_with("_Z") || name.starts_with("_R");
}

}  // namespace

std::string demangle(const std::string& system_name) {
  if (!looks_mangled(system_name)) return system_name;
  // "Auto" tries Rust before C++, as Rust's older names are valid C++ ones too.
  const std::unique_ptr<char, FreeDeleter> text(
      cplus_demangle(system_name.c_str(), DMGL_PARAMS | DMGL_ANSI | DMGL_AUTO));
  return text == nullptr ? system_name : std::string(text.get());
}

}  // namespace leakwatch
