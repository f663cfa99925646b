// SPDX-License-Identifier: Apache-2.0
//
// See the header. The C++ operators are only in one of the two objects that are built: in the other their addresses are
// null.

#include "preload/interpose_table.h"

#include <cstring>

#include "preload/next.h"

#define LEAKWATCH_DECLARE(name, result, parameters) \
  extern "C" __attribute__((visibility("hidden"), weak)) result leakwatch_own_##name parameters;
LEAKWATCH_ALL_HOOKS(LEAKWATCH_DECLARE)

namespace leakwatch::preload {

#define LEAKWATCH_COUNT(name, result, parameters) +1
static_assert(0 LEAKWATCH_ALL_HOOKS(LEAKWATCH_COUNT) <= kMostHooks);

std::size_t list_own_functions(Hook* hooks) {
  std::size_t count = 0;
#define LEAKWATCH_LIST(name, result, parameters) \
  if (leakwatch_own_##name != nullptr)           \
    hooks[count++] = {#name, reinterpret_cast<std::uintptr_t>(leakwatch_own_##name), 0};
  LEAKWATCH_ALL_HOOKS(LEAKWATCH_LIST)
  return count;
}

void set_next_functions(const Hook* hooks, std::size_t count) {
  for (const Hook* hook = hooks; hook != hooks + count; ++hook) {
    const char* wanted = hook->name;
    if (hook->original == 0) continue;
#define LEAKWATCH_SET(name, result, parameters) \
  if (std::strcmp(wanted, #name) == 0) next.name = reinterpret_cast<result(*) parameters>(hook->original);
    LEAKWATCH_ALL_HOOKS(LEAKWATCH_SET)
  }
}

}  // namespace leakwatch::preload
