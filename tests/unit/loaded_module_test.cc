// SPDX-License-Identifier: Apache-2.0
//
// What a module says about itself, against what the loader says about it.

#include "preload/loaded_module.h"

#include <dlfcn.h>

#include <cstring>
#include <string>

#include "tests/unit/catch.h"

namespace {

using leakwatch::preload::LoadedModule;

template <class Look>
void look_at(const std::string& end_of_path, Look look) {
  struct Request {
    const std::string& end;
    Look& look;
    bool found;
  } request{end_of_path, look, false};
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* argument) {
        auto& wanted = *static_cast<Request*>(argument);
        if (!std::string(info->dlpi_name).ends_with(wanted.end)) return 0;
        wanted.found = true;
        wanted.look(LoadedModule(*info));
        return 1;
      },
      &request);
  REQUIRE(request.found);
}

// A module that is nothing but `image`, with its dynamic section at `dynamic_offset`.
template <class Image>
LoadedModule module_of(Image& image, std::uint64_t dynamic_offset) {
  static ElfW(Phdr) segments[2];
  std::memset(segments, 0, sizeof segments);
  segments[0].p_type = PT_LOAD;
  segments[0].p_flags = PF_R | PF_W;
  segments[0].p_memsz = sizeof image;
  segments[1].p_type = PT_DYNAMIC;
  segments[1].p_vaddr = dynamic_offset;
  dl_phdr_info info{};
  info.dlpi_addr = reinterpret_cast<std::uint64_t>(&image);
  info.dlpi_name = "";
  info.dlpi_phdr = segments;
  info.dlpi_phnum = 2;
  return LoadedModule(info);
}

}  // namespace

TEST_CASE("A module's functions are found as the loader finds them", "[slots]") {
  void* libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
  REQUIRE(libc != nullptr);
  look_at("/libc.so.6", [libc](const LoadedModule& module) {
    REQUIRE(module.is_readable());
    // The last has versions that differ.
    for (const char* name : {"malloc", "free", "strlen_is_an_ifunc_and_this_is_nothing", "pthread_create", "environ",
                             "pthread_cond_wait"}) {
      CAPTURE(name);
      CHECK(module.find(name) == reinterpret_cast<std::uint64_t>(dlsym(libc, name)));
    }
    CHECK(dlvsym(libc, "pthread_cond_wait", "GLIBC_2.2.5") != dlsym(libc, "pthread_cond_wait"));
    CHECK(module.contains(reinterpret_cast<std::uint64_t>(dlsym(libc, "malloc"))));
  });
  dlclose(libc);
}

TEST_CASE("Names that the loader would not find are known as such", "[slots]") {
  void* libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
  REQUIRE(libc != nullptr);
  look_at("/libc.so.6", [libc](const LoadedModule& module) {
    // An IFUNC, data, one with two versions, and one that is left for old programs alone: since 2.26.
    for (const char* name : {"malloc", "strlen", "environ", "pthread_cond_wait", "cfree", "nobody_has_this"}) {
      CAPTURE(name);
      CHECK(module.may_define(name) == (dlsym(libc, name) != nullptr));
    }
  });
  dlclose(libc);
}

TEST_CASE("The old hash table does as well", "[slots]") {
  void* library = dlopen(SLOT_FIXTURE_SYSV_HASH, RTLD_NOW);
  REQUIRE(library != nullptr);
  look_at(SLOT_FIXTURE_SYSV_HASH, [library](const LoadedModule& module) {
    CHECK(module.find("fixture_allocate") == reinterpret_cast<std::uint64_t>(dlsym(library, "fixture_allocate")));
    CHECK(module.find("fixture_variable") == reinterpret_cast<std::uint64_t>(dlsym(library, "fixture_variable")));
    CHECK(module.find("malloc") == 0);  // used, not defined
    CHECK(module.find("fixture") == 0);
  });
  dlclose(library);
}

TEST_CASE("A module whose tables point outside of it has none", "[slots]") {
  alignas(8) static char image[256] = {};
  ElfW(Dyn) dynamic[] = {{DT_SYMTAB, {.d_val = 0x100000}},
                         {DT_STRTAB, {.d_val = 8}},
                         {DT_JMPREL, {.d_val = 250}},
                         {DT_PLTRELSZ, {.d_val = 240}},
                         {DT_NULL, {}}};
  std::memcpy(image + 64, dynamic, sizeof dynamic);
  const LoadedModule module = module_of(image, 64);
  CHECK_FALSE(module.is_readable());
  CHECK(module.find("malloc") == 0);
  int slots = 0;
  module.for_each_slot([&slots](const LoadedModule::Slot&) { ++slots; });
  CHECK(slots == 0);
}

TEST_CASE("REL tables are read like RELA tables", "[slots]") {
  struct Image {
    std::uint64_t header = 0;  // no table lies at the very start
    ElfW(Sym) symbols[2] = {};
    char strings[16] = "\0malloc";
    ElfW(Rel) relocations[2] = {};
    std::uint64_t slots[2] = {};
    ElfW(Dyn) dynamic[7] = {};
  };
  static Image image;
  const auto offset = [](const void* member) {
    return static_cast<std::uint64_t>(static_cast<const char*>(member) - reinterpret_cast<const char*>(&image));
  };
  image.symbols[1].st_name = 1;
  for (std::size_t i = 0; i < 2; ++i)
    image.relocations[i] = {offset(&image.slots[i]),
                            ELF64_R_INFO(1UL, i == 0 ? R_X86_64_JUMP_SLOT : R_X86_64_RELATIVE)};
  const ElfW(Dyn) dynamic[] = {{DT_SYMTAB, {.d_val = offset(image.symbols)}},
                               {DT_STRTAB, {.d_val = offset(image.strings)}},
                               {DT_JMPREL, {.d_val = offset(image.relocations)}},
                               {DT_PLTRELSZ, {.d_val = sizeof image.relocations}},
                               {DT_PLTREL, {.d_val = DT_REL}},
                               {DT_NULL, {}}};
  std::memcpy(image.dynamic, dynamic, sizeof dynamic);
  bool leads_into_the_module = false;
  int slots = 0;
  const auto look = [&] {
    module_of(image, offset(image.dynamic)).for_each_slot([&](const LoadedModule::Slot& slot) {
      ++slots;
      CHECK(slot.place == &image.slots[0]);
      CHECK(std::string(slot.name) == "malloc");
      CHECK(slot.is_unbound == leads_into_the_module);
    });
  };
  look();
  leads_into_the_module = true;
  image.slots[0] = reinterpret_cast<std::uint64_t>(&image) + 48;
  look();
  // Bound to the module's own function.
  leads_into_the_module = false;
  image.symbols[1].st_shndx = 1;
  image.symbols[1].st_value = 48;
  look();
  CHECK(slots == 3);
}
