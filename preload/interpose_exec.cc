// SPDX-License-Identifier: Apache-2.0
//
// Programs that replace themselves: a wrapper such as env, nice or a shell's exec becomes the service that was meant.
// The variables that led us here were taken out of the environment, so that children do not inherit us; the watched
// process itself gets them back for the program that it becomes, which then calls leakwatch as its predecessor did.

#include <alloca.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstddef>

#include "preload/environment.h"
#include "preload/interpose_table.h"
#include "preload/next.h"
#include "preload/session.h"
#include "preload/system.h"
#include "preload/thread_state.h"

#define LEAKWATCH_EXPORT extern "C" __attribute__((visibility("default")))

using leakwatch::preload::add_ourselves;
using leakwatch::preload::BusyScope;
using leakwatch::preload::can_add_ourselves;
using leakwatch::preload::count_variables;
using leakwatch::preload::kRoomForOurselves;
using leakwatch::preload::next;
using leakwatch::preload::next_ready;
using leakwatch::preload::SessionHold;
using leakwatch::preload::thread_state;

namespace {

// False in a child of vfork, which shares our memory, but is not the process that is watched. The session is not held
// over the call, as nobody lets go of it when that succeeds. Keeps errno.
bool tell_execution(std::uint32_t executes) {
  const BusyScope busy(thread_state);
  const SessionHold session;
  if (!session || session->process_id != static_cast<std::uint32_t>(leakwatch::preload::system_call(SYS_getpid)))
    return false;
  session->header->executes.store(executes, std::memory_order_relaxed);
  return true;
}

// Calls `execute` with the environment that the next program gets. On the stack: exec must work in any state.
template <class Execute>
[[gnu::always_inline]] inline int with_ourselves(char* const* variables, Execute execute) {
  if (!next_ready()) {
    errno = ENOMEM;
    return -1;
  }
  const bool is_watched = tell_execution(1);
  if (is_watched && variables != nullptr && can_add_ourselves()) {
    auto** enlarged = static_cast<char**>(alloca((count_variables(variables) + kRoomForOurselves) * sizeof(char*)));
    add_ourselves(variables, enlarged);
    variables = enlarged;
  }
  const int result = execute(variables);
  if (is_watched) tell_execution(0);
  return result;
}

// Of a list that ends with a null, which is counted too.
std::size_t count_arguments(const char* first, va_list rest) {
  std::size_t count = 1;
  while (first != nullptr) {
    first = va_arg(rest, const char*);  // NOLINT(clang-analyzer-valist.Uninitialized): it is, by our caller
    ++count;
  }
  return count;
}

// Calls `execute` with the arguments as an array, and with what stands behind their null.
template <class Execute>
int with_arguments(const char* first, va_list rest, Execute execute) {
  va_list counted;
  va_copy(counted, rest);
  auto** arguments = static_cast<char**>(alloca(count_arguments(first, counted) * sizeof(char*)));
  va_end(counted);
  for (char** next_argument = arguments; (*next_argument++ = const_cast<char*>(first)) != nullptr;)
    first = va_arg(rest, const char*);
  return execute(arguments, rest);
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

LEAKWATCH_EXPORT int execl(const char* path, const char* argument, ...) {
  va_list rest;
  va_start(rest, argument);
  const int result = with_arguments(argument, rest, [=](char** arguments, va_list) {
    return with_ourselves(environ, [=](char* const* v) { return next.execve(path, arguments, v); });
  });
  va_end(rest);
  return result;
}

LEAKWATCH_EXPORT int execlp(const char* file, const char* argument, ...) {
  va_list rest;
  va_start(rest, argument);
  const int result = with_arguments(argument, rest, [=](char** arguments, va_list) {
    return with_ourselves(environ, [=](char* const* v) { return next.execvpe(file, arguments, v); });
  });
  va_end(rest);
  return result;
}

LEAKWATCH_EXPORT int execle(const char* path, const char* argument, ...) {
  va_list rest;
  va_start(rest, argument);
  const int result = with_arguments(argument, rest, [=](char** arguments, va_list behind) {
    auto* variables = va_arg(behind, char* const*);  // NOLINT(clang-analyzer-valist.Uninitialized): it is, above
    return with_ourselves(variables, [=](char* const* v) { return next.execve(path, arguments, v); });
  });
  va_end(rest);
  return result;
}

LEAKWATCH_EXEC_HOOKS(LEAKWATCH_OWN_NAME)
