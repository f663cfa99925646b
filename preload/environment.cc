// SPDX-License-Identifier: Apache-2.0
//
// See the header. Runs before main, while the process has one thread; strings are shortened where they stand, as
// setenv would allocate.

#include "preload/environment.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <sys/auxv.h>
#include <unistd.h>

#include <cstring>

#include "preload/system.h"
#include "proto/handshake.h"

namespace leakwatch::preload {

namespace {

constexpr char kPreload[] = "LD_PRELOAD";
constexpr char kOurName[] = "libleakwatch";
constexpr std::size_t kLongest = 8192;

// As they go into the environment of a program that this process becomes.
char our_preload[kLongest] = "LD_PRELOAD=";
char our_socket[256];
std::size_t our_preload_length;  // of the variable with our object alone

// libc's, or before libc is initialised (a program's preinit functions run then) the one that it will take.
char** environment() {
  if (environ != nullptr) return environ;
  auto* argc = const_cast<long*>(static_cast<const long*>(initial_stack()));
  return argc == nullptr ? nullptr : reinterpret_cast<char**>(argc + 1) + *argc + 1;
}

// The value of `variable` if it is called `name`, else null.
char* value_of(char* variable, const char* name) {
  const std::size_t length = std::strlen(name);
  return std::strncmp(variable, name, length) == 0 && variable[length] == '=' ? variable + length + 1 : nullptr;
}

void remove_variable(char** place) {
  for (; *place != nullptr; ++place) place[0] = place[1];
}

bool is_ours(const char* item, std::size_t length) {
  const char* name = item;
  for (std::size_t i = 0; i < length; ++i) {
    if (item[i] == '/') name = item + i + 1;
  }
  return std::strncmp(name, kOurName, std::strlen(kOurName)) == 0;
}

void append(char* text, std::size_t room, const char* more, std::size_t length) {
  const std::size_t used = std::strlen(text);
  if (used + length >= room) return;
  std::memcpy(text + used, more, length);
  text[used + length] = 0;
}

void keep_ourselves(const char* item, std::size_t length) {
  append(our_preload, kLongest, item, length);
  our_preload_length = std::strlen(our_preload);
}

// Items are separated by colons or blanks. Ours is kept aside.
void remove_ourselves(char* list) {
  char* out = list;
  for (const char* item = list; *item != 0;) {
    const std::size_t length = std::strcspn(item, ": ");
    if (is_ours(item, length) && our_preload_length == 0) keep_ourselves(item, length);
    if (length != 0 && !is_ours(item, length)) {
      if (out != list) *out++ = ':';
      std::memmove(out, item, length);
      out += length;
    }
    item += length;
    if (*item != 0) ++item;
  }
  *out = 0;
}

}  // namespace

const char* socket_from_environment() {
  for (char** place = environment(); place != nullptr && *place != nullptr; ++place) {
    if (const char* value = value_of(*place, handshake::kSocketVariable)) return value;
  }
  return nullptr;
}

void forget_environment() {
  for (char** place = environment(); place != nullptr && *place != nullptr;) {
    char* list = value_of(*place, kPreload);
    if (value_of(*place, handshake::kSocketVariable) != nullptr && our_socket[0] == 0)
      append(our_socket, sizeof our_socket, *place, std::strlen(*place));
    if (list != nullptr) remove_ourselves(list);
    if ((list != nullptr && *list == 0) || value_of(*place, handshake::kSocketVariable) != nullptr)
      remove_variable(place);
    else
      ++place;
  }
}

void remember_ourselves(const char* object, const char* socket) {
  our_socket[0] = 0;
  if (socket == nullptr || object[0] != '/' || std::strpbrk(object, " :") != nullptr ||
      std::strncmp(object, "/proc/", 6) == 0 || system_call(SYS_access, as_argument(object), R_OK) != 0)
    return;
  our_preload[sizeof kPreload] = 0;  // behind the equals sign
  keep_ourselves(object, std::strlen(object));
  append(our_socket, sizeof our_socket, handshake::kSocketVariable, std::strlen(handshake::kSocketVariable));
  append(our_socket, sizeof our_socket, "=", 1);
  append(our_socket, sizeof our_socket, socket, std::strlen(socket));
}

bool can_add_ourselves() {
  return our_preload_length != 0 && our_socket[0] != 0;
}

std::size_t count_variables(char* const* variables) {
  std::size_t count = 0;
  while (variables[count] != nullptr) ++count;
  return count;
}

// The program's own list is put behind ours once, in the memory that becomes the next program's environment: nobody
// reads ours again if the call fails, as the next one makes it anew.
void add_ourselves(char* const* variables, char** enlarged) {
  our_preload[our_preload_length] = 0;
  char** out = enlarged;
  *out++ = our_preload;
  *out++ = our_socket;
  for (; *variables != nullptr; ++variables) {
    const char* list = value_of(*variables, kPreload);
    if (list == nullptr)
      *out++ = *variables;
    else if (*list != 0) {
      append(our_preload, kLongest, ":", 1);
      append(our_preload, kLongest, list, std::strlen(list));
    }
  }
  *out = nullptr;
}

const void* initial_stack() {
  static void* const* end;  // looked for once: the loader may be busy later on
  if (end == nullptr) end = static_cast<void* const*>(dlsym(RTLD_DEFAULT, "__libc_stack_end"));
  return end == nullptr ? nullptr : *end;
}

bool may_start_from(std::uint64_t from) {
  // The loader's own program headers say how far its code reaches.
  const std::uint64_t loader = getauxval(AT_BASE);
  if (loader == 0 || from < loader) return true;
  const auto* header = reinterpret_cast<const ElfW(Ehdr)*>(loader);
  const auto* segment = reinterpret_cast<const ElfW(Phdr)*>(loader + header->e_phoff);
  for (int i = 0; i < header->e_phnum; ++i) {
    if (segment[i].p_type == PT_LOAD && from - loader - segment[i].p_vaddr < segment[i].p_memsz) return false;
  }
  return true;
}

}  // namespace leakwatch::preload
