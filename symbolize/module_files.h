// SPDX-License-Identifier: Apache-2.0
//
// The files of one module: found, checked against its build id, opened through libdwfl.
#pragma once

#include <elfutils/libdwfl.h>
#include <sys/types.h>

#include <memory>
#include <string>

#include "symbolize/module.h"

namespace leakwatch {

// libdwfl's view of one module, placed at the file's own addresses where that can be chosen.
class ModuleFiles {
 public:
  // `root` is put before the module's path. What is found there may be another file by now, or none: it is then looked
  // for where process `pid`, unless that is 0, has it still.
  ModuleFiles(const Dwfl_Callbacks& callbacks, const std::string& root, pid_t pid, const Module& module);

  Dwfl_Module* handle() const { return handle_; }  // null when there is no file to use
  Dwarf_Addr bias() const { return bias_; }        // libdwfl's addresses minus the file's

 private:
  template <class Report>
  bool use(const Dwfl_Callbacks& callbacks, const Module& module, Report report);
  void report_vdso();
  void report_file(const std::string& path, const std::string& name);
  bool has_build_id_of(const Module& module) const;

  struct SessionDeleter {
    void operator()(Dwfl* session) const { dwfl_end(session); }
  };

  std::string vdso_;  // read by the session, so it goes after it
  std::unique_ptr<Dwfl, SessionDeleter> session_;
  Dwfl_Module* handle_ = nullptr;
  Dwarf_Addr bias_ = 0;
};

}  // namespace leakwatch
