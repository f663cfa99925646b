// SPDX-License-Identifier: Apache-2.0
//
// From (module, address) to the functions that stand there, through libdw: the only includer of elfutils.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "symbolize/module.h"

namespace leakwatch {

// One function at an address. An address has several when calls were inlined there.
struct Frame {
  std::string function;     // demangled
  std::string system_name;  // as the linker knows it; equal to `function` for C
  std::string file;         // absolute path of the source file, empty when unknown
  int line = 0;             // 0 when unknown
  int start_line = 0;       // where the function begins, 0 when unknown
  friend bool operator==(const Frame&, const Frame&) = default;
};

// What the module had to say about itself; becomes pprof's has_* flags.
struct SymbolSource {
  bool functions = false;  // a symbol table or debug information
  bool lines = false;      // debug information
};

struct SymbolizerOptions {
  // Put before a module's path to open it, "/proc/PID/root" for a process with a root of its own.
  std::string root;
  // Where a file is looked for that is no longer what its path names: in this process. 0: nowhere else.
  pid_t pid = 0;
  // Where separate debug files are looked up, in elfutils' syntax; empty: elfutils' default, which
  // covers /usr/lib/debug by build id and .gnu_debuglink beside the file, in .debug/ and below /usr/lib/debug.
  std::string debug_path;
};

// Synchronous and single-threaded: SymbolService puts it on a thread and remembers.
class Symbolizer {
 public:
  explicit Symbolizer(SymbolizerOptions options = {});
  ~Symbolizer();
  Symbolizer(const Symbolizer&) = delete;
  Symbolizer& operator=(const Symbolizer&) = delete;

  // All functions at `address` (in the file's own address space: run-time address minus the module's bias; for a return
  // address the caller has subtracted one), innermost first. Never empty: without any symbol the one frame is named
  // "libfoo.so+0x1a2b" (base name of the path; where the function begins, else the address itself). Never throws for
  // what a file contains or lacks. The file is only used when its build id is the module's, when that is known.
  std::vector<Frame> resolve(const Module& module, std::uint64_t address);

  SymbolSource source(const Module& module);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// C++ and Rust (both manglings) names as people write them; any other name comes back as it is.
std::string demangle(const std::string& system_name);

}  // namespace leakwatch
