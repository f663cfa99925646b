// SPDX-License-Identifier: Apache-2.0
//
// The files of one module: found, checked against its build id, opened through libdwfl.
#pragma once

#include <elfutils/libdwfl.h>

#include <memory>
#include <string>

#include "symbolize/module.h"

namespace leakwatch {

// libdwfl's view of one module, placed at the file's own addresses where that can be chosen.
class ModuleFiles {
 public:
  ModuleFiles(const Dwfl_Callbacks& callbacks, const std::string& root, const Module& module);

  Dwfl_Module* handle() const { return handle_; }  // null when there is no file to use
  Dwarf_Addr bias() const { return bias_; }        // libdwfl's addresses minus the file's

 private:
  void report_vdso();
  void report_file(const std::string& path);
  std::string build_id() const;

  struct SessionDeleter {
    void operator()(Dwfl* session) const { dwfl_end(session); }
  };

  std::string vdso_;  // read by the session, so it goes after it
  std::unique_ptr<Dwfl, SessionDeleter> session_;
  Dwfl_Module* handle_ = nullptr;
  Dwarf_Addr bias_ = 0;
};

}  // namespace leakwatch
