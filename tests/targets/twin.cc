// SPDX-License-Identifier: Apache-2.0
//
// One of two libraries of the same layout, which differ in a name only: TWIN.

#include "tests/targets/truth.h"

SITE void* TWIN() {
  return malloc(300);
}
extern "C" void* allocate() {
  return TWIN();
}
