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

#include "proto/handshake.h"

namespace leakwatch::preload {

namespace {

constexpr char kPreload[] = "LD_PRELOAD";
constexpr char kOurName[] = "libleakwatch";

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

// Items are separated by colons or blanks.
void remove_ourselves(char* list) {
  char* out = list;
  for (const char* item = list; *item != 0;) {
    const std::size_t length = std::strcspn(item, ": ");
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
    if (list != nullptr) remove_ourselves(list);
    if ((list != nullptr && *list == 0) || value_of(*place, handshake::kSocketVariable) != nullptr)
      remove_variable(place);
    else
      ++place;
  }
}

const void* initial_stack() {
  auto* const* end = static_cast<void* const*>(dlsym(RTLD_DEFAULT, "__libc_stack_end"));
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
