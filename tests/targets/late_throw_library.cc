// SPDX-License-Identifier: Apache-2.0
//
// Throws through frames that hold something: the unwinder that libgcc brings must be the one that runs.
#include <stdexcept>
#include <string>

namespace {

int destroyed;

struct Witness {
  std::string text = std::string(100, 'x');
  ~Witness() { ++destroyed; }
};

__attribute__((noinline)) void throw_deep(int number) {
  const Witness witness;
  throw std::runtime_error(std::string(50, 'e') + std::to_string(number));
}

}  // namespace

extern "C" int throw_and_catch(int number) {
  try {
    throw_deep(number);
  } catch (const std::runtime_error& error) {
    return error.what()[0] == 'e' && destroyed == number + 1;
  }
  return 0;
}
