// SPDX-License-Identifier: Apache-2.0
//
// The array that grows by moving pages: what is in it stays what it was, and what is new is zero.
#include "cli/base/remapped_array.h"

#include <cstdint>

#include "tests/unit/catch.h"

namespace leakwatch {
namespace {

struct alignas(64) Element {
  std::uint64_t number;
  std::uint64_t others[7];
};

TEST_CASE("an array that grows keeps what it holds, and adds zeroes") {
  RemappedArray<Element> array;
  CHECK(array.all().empty());
  constexpr std::uint64_t kElements = 100'000;
  for (std::uint64_t i = 0; i < kElements; ++i) {
    array.add_zeroes();
    if (array[i].number != 0) FAIL("element " << i);
    array[i].number = i * i;
  }
  REQUIRE(array.size() == kElements);
  REQUIRE(array.all().size() == kElements);
  for (std::uint64_t i = 0; i < kElements; ++i) {
    if (array[i].number != i * i || array[i].others[6] != 0) FAIL("element " << i);
  }
  CHECK(reinterpret_cast<std::uintptr_t>(array.data()) % alignof(Element) == 0);
}

TEST_CASE("elements that do not fill a page exactly are not cut off at the end of the memory") {
  struct Odd {
    char bytes[40];
  };
  RemappedArray<Odd> array;
  for (std::size_t i = 0; i < 20'000; ++i) {
    array.add_zeroes();
    array[i].bytes[39] = static_cast<char>(i);
  }
  for (std::size_t i = 0; i < 20'000; ++i) {
    if (array[i].bytes[39] != static_cast<char>(i)) FAIL("element " << i);
  }
}

}  // namespace
}  // namespace leakwatch
