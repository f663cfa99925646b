// SPDX-License-Identifier: Apache-2.0
//
// Programs that replace themselves: a wrapper such as env, nice or a shell's exec becomes the service that was meant.
// The variables that led us here were taken out of the environment, so that children do not inherit us; the watched
// process itself gets them back for the program that it becomes, which then calls leakwatch as its predecessor did.

#include <alloca.h>
#include <unistd.h>

#include <cerrno>

#include "preload/environment.h"
#include "preload/interpose_table.h"
#include "preload/next.h"
#include "preload/session.h"
#include "preload/system.h"

#define LEAKWATCH_EXPORT extern "C" __attribute__((visibility("default")))

using leakwatch::preload::add_ourselves;
using leakwatch::preload::can_add_ourselves;
using leakwatch::preload::count_variables;
using leakwatch::preload::kRoomForOurselves;
using leakwatch::preload::next;
using leakwatch::preload::next_ready;
using leakwatch::preload::SessionHold;

namespace {

// A child of vfork shares our memory, but is not the process that is watched.
bool is_watched_process() {
  const SessionHold session;
  return session && session->process_id == static_cast<std::uint32_t>(leakwatch::preload::system_call(SYS_getpid));
}

// Calls `execute` with the environment that the next program gets. On the stack: exec must work in any state.
template <class Execute>
[[gnu::always_inline]] inline int with_ourselves(char* const* variables, Execute execute) {
  if (!next_ready()) {
    errno = ENOMEM;
    return -1;
  }
  if (variables == nullptr || !can_add_ourselves() || !is_watched_process()) return execute(variables);
  auto** enlarged = static_cast<char**>(alloca((count_variables(variables) + kRoomForOurselves) * sizeof(char*)));
  add_ourselves(variables, enlarged);
  return execute(enlarged);
}

}  // namespace

LEAKWATCH_EXPORT int execve(const char* path, char* const* arguments, char* const* variables) {
  return with_ourselves(variables, [=](char* const* v) { return next.execve(path, arguments, v); });
}

LEAKWATCH_EXPORT int execv(const char* path, char* const* arguments) {
  return with_ourselves(environ, [=](char* const* v) { return next.execve(path, arguments, v); });
}

LEAKWATCH_EXPORT int execvp(const char* file, char* const* arguments) {
  return with_ourselves(environ, [=](char* const* v) { return next.execvpe(file, arguments, v); });
}

LEAKWATCH_EXPORT int execvpe(const char* file, char* const* arguments, char* const* variables) {
  return with_ourselves(variables, [=](char* const* v) { return next.execvpe(file, arguments, v); });
}

LEAKWATCH_EXPORT int fexecve(int descriptor, char* const* arguments, char* const* variables) {
  return with_ourselves(variables, [=](char* const* v) { return next.fexecve(descriptor, arguments, v); });
}

LEAKWATCH_EXEC_HOOKS(LEAKWATCH_OWN_NAME)
