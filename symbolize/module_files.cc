// SPDX-License-Identifier: Apache-2.0
//
// See the header. A module's file is named by somebody else's process and may hold anything.

#include "symbolize/module_files.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "symbolize/file_identity.h"

namespace leakwatch {

namespace {

// Our kernel's code page, from our own memory: it is the same in every process of this machine.
std::string read_own_vdso() {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (!line.ends_with("[vdso]")) continue;
    char* rest = nullptr;
    const std::uint64_t start = std::strtoull(line.c_str(), &rest, 16);
    const std::uint64_t limit = std::strtoull(rest + 1, nullptr, 16);         // "start-limit r-xp …"
    return std::string(reinterpret_cast<const char*>(start), limit - start);  // NOLINT(performance-no-int-to-ptr)
  }
  return {};
}

}  // namespace

ModuleFiles::ModuleFiles(const Dwfl_Callbacks& callbacks, const std::string& root, const Module& module)
    : session_(dwfl_begin(&callbacks)) {
  if (session_ == nullptr) return;
  const bool is_vdso = module.path == "[vdso]";
  dwfl_report_begin(session_.get());
  if (is_vdso) {
    report_vdso();
  } else {
    report_file(root + module.path);
  }
  dwfl_report_end(session_.get(), nullptr, nullptr);
  if (handle_ == nullptr || dwfl_module_getelf(handle_, &bias_) == nullptr) {
    handle_ = nullptr;
    return;
  }
  // The file may have been replaced since it was mapped; the vDSO may be another kernel's unless it says otherwise.
  const bool may_be_unknown = module.build_id.empty() && !is_vdso;
  if (!may_be_unknown && build_id() != module.build_id) handle_ = nullptr;
}

void ModuleFiles::report_vdso() {
  vdso_ = read_own_vdso();
  if (vdso_.empty()) return;
  handle_ = dwfl_report_offline_memory(session_.get(), "[vdso]", "[vdso]", vdso_.data(), vdso_.size());
}

void ModuleFiles::report_file(const std::string& path) {
  const int fd = open_regular(path);
  if (fd < 0) return;
  handle_ = dwfl_report_elf(session_.get(), path.c_str(), path.c_str(), fd, 0, true);
  if (handle_ == nullptr) close(fd);  // otherwise it is the library's now
}

std::string ModuleFiles::build_id() const {
  const unsigned char* bytes = nullptr;
  GElf_Addr address = 0;
  const int count = dwfl_module_build_id(handle_, &bytes, &address);
  return build_id_text(bytes, static_cast<std::size_t>(std::max(count, 0)));
}

}  // namespace leakwatch
