// SPDX-License-Identifier: Apache-2.0
//
// What other processes have loaded, told from their memory; the expected answers come from nm and from the loader.
#include "cli/process/loaded_modules.h"

#include <dlfcn.h>

#include "tests/unit/catch.h"
#include "tests/unit/spawned_program.h"

namespace leakwatch {
namespace {

TEST_CASE("modules are told by their own names") {
  SKIP_WITHOUT_PTRACE();
  SpawnedProgram program(std::string(kSleeper) + "int exported(void) { return 1; }\nint exported_data = 2;\n",
                         "-rdynamic");
  REQUIRE(program.start());
  LoadedModules modules(program.pid());
  REQUIRE(modules.refresh());
  const LoadedModule* own = modules.with_role(ModuleRole::kProgram);
  const LoadedModule* libc = modules.with_role(ModuleRole::kLibc);
  const LoadedModule* loader = modules.with_role(ModuleRole::kLoader);
  REQUIRE(own != nullptr);
  REQUIRE(libc != nullptr);
  REQUIRE(loader != nullptr);
  CHECK(modules.with_role(ModuleRole::kOwn) == nullptr);
  CHECK(modules.with_role(ModuleRole::kAllocator) == nullptr);
  CHECK_FALSE(modules.program_has_allocator());
  CHECK(own->path == program.path());
  CHECK(libc->exports.soname == "libc.so.6");

  const LoadedSymbol* function = own->exports.find("exported");
  const LoadedSymbol* data = own->exports.find("exported_data");
  REQUIRE(function != nullptr);
  REQUIRE(data != nullptr);
  CHECK(function->is_function);
  CHECK_FALSE(data->is_function);
  CHECK(data->size == sizeof(int));
  CHECK(function->address == own->exports.bias + fixture::address_of(program.path(), "exported"));
  CHECK(data->address == own->exports.bias + fixture::address_of(program.path(), "exported_data"));
  CHECK(modules.at(function->address) == own);
  CHECK(own->exports.find("pause") == nullptr);  // an import
  CHECK(modules.at(0x1000) == nullptr);
}

TEST_CASE("all that libc exports is found, where the loader has it") {
  LoadedModules modules(getpid());
  REQUIRE(modules.refresh());
  const LoadedModule* libc = modules.with_role(ModuleRole::kLibc);
  REQUIRE(libc != nullptr);
  void* handle = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
  REQUIRE(handle != nullptr);
  for (const char* name : {"malloc", "free", "pthread_create", "dlopen", "fork", "swab", "sigprocmask"}) {
    INFO(name);
    const LoadedSymbol* symbol = libc->exports.find(name);
    REQUIRE(symbol != nullptr);
    CHECK(symbol->is_function);
    CHECK(symbol->size > 0);
    CHECK(symbol->address == reinterpret_cast<std::uint64_t>(dlsym(handle, name)));
  }
  dlclose(handle);
  const std::string listed =
      fixture::output_of("readelf --dyn-syms -W " + libc->path +
                         " | awk '$4 ~ /FUNC|OBJECT/ && $5 != \"LOCAL\" && $7 ~ /^[0-9]/' | wc -l");
  CHECK(libc->exports.symbols.size() == std::stoul(listed));
}

// The table by which most libraries are searched has another shape in old ones.
TEST_CASE("either kind of hash table tells how many symbols there are") {
  SKIP_WITHOUT_PTRACE();
  for (const char* style : {"gnu", "sysv", "both"}) {
    INFO(style);
    SpawnedProgram program(std::string(kSleeper) + "int exported(void) { return 1; }\n",
                           std::string("-rdynamic -Wl,--hash-style=") + style);
    REQUIRE(program.start());
    LoadedModules modules(program.pid());
    REQUIRE(modules.refresh());
    CHECK(modules.with_role(ModuleRole::kProgram)->exports.find("exported") != nullptr);
  }
}

TEST_CASE("a program at fixed addresses, and one without symbols") {
  SKIP_WITHOUT_PTRACE();
  SpawnedProgram fixed(std::string(kSleeper) + "int exported(void) { return 1; }\n", "-no-pie -rdynamic -s");
  REQUIRE(fixed.start());
  LoadedModules modules(fixed.pid());
  REQUIRE(modules.refresh());
  const LoadedModule* program = modules.with_role(ModuleRole::kProgram);
  CHECK(program->exports.bias == 0);
  CHECK(program->exports.find("exported")->address == fixture::address_of(fixed.path(), "exported", "-D"));
  SpawnedProgram bare(kSleeper, "-static");
  REQUIRE(bare.start());
  LoadedModules none(bare.pid());
  REQUIRE(none.refresh());
  CHECK(none.with_role(ModuleRole::kProgram)->exports.symbols.empty());
  CHECK(none.with_role(ModuleRole::kLibc) == nullptr);
}

TEST_CASE("memory that is no module has no exports") {
  static const char page[4096] =
      "\x7f"
      "ELF\x02";
  CHECK(read_loaded_exports(getpid(), reinterpret_cast<std::uint64_t>(page)).symbols.empty());
  CHECK(read_loaded_exports(getpid(), 0).symbols.empty());
}

}  // namespace
}  // namespace leakwatch
