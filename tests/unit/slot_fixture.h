// SPDX-License-Identifier: Apache-2.0
//
// What the libraries made of slot_fixture.cc export.
#pragma once

#include <cstddef>

extern "C" {
struct FixtureFunctions {
  void* (*allocate)(std::size_t);
  void (*release)(void*);
};
extern const FixtureFunctions fixture_constant;
}
