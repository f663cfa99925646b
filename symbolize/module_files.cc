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

constexpr const char* kVdso = "[vdso]";

// Our kernel's code page, from our own memory: it is the same in every process of this machine.
std::string read_own_vdso() {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (!line.ends_with(kVdso)) continue;
    char* rest = nullptr;
    const std::uint64_t start = std::strtoull(line.c_str(), &rest, 16);
    const std::uint64_t limit = std::strtoull(rest + 1, nullptr, 16);         // "start-limit r-xp …"
    return std::string(reinterpret_cast<const char*>(start), limit - start);  // NOLINT(performance-no-int-to-ptr)
  }
  return {};
}

// Behind mounts of its own (a service's private /tmp), and what it has mapped, whatever became of the name. The kernel
// asks for privileges before it follows a link of the last kind, but for the program's own.
std::vector<std::string> places_in_process(pid_t pid, const Module& module) {
  const std::string process = "/proc/" + std::to_string(pid) + "/";
  std::vector<std::string> places{process + "root" + module.path};
  for (const Segment& segment : module.segments) places.push_back(map_file_path(pid, segment.start, segment.limit));
  places.push_back(process + "exe");
  return places;
}

}  // namespace

ModuleFiles::ModuleFiles(const Dwfl_Callbacks& callbacks, const std::string& root, pid_t pid, const Module& module) {
  if (module.path == kVdso) {
    use(callbacks, module, [this] { report_vdso(); });
    return;
  }
  const std::string named = root + module.path;
  if (use(callbacks, module, [&] { report_file(named, named); })) return;
  if (pid == 0 || module.build_id.empty()) return;
  for (const std::string& path : places_in_process(pid, module)) {
    if (use(callbacks, module, [&] { report_file(path, named); })) return;
  }
}

// Whether what was reported is the module's file.
template <class Report>
bool ModuleFiles::use(const Dwfl_Callbacks& callbacks, const Module& module, Report report) {
  handle_ = nullptr;
  session_.reset(dwfl_begin(&callbacks));
  if (session_ == nullptr) return false;
  dwfl_report_begin(session_.get());
  report();
  dwfl_report_end(session_.get(), nullptr, nullptr);
  if (handle_ != nullptr && dwfl_module_getelf(handle_, &bias_) != nullptr && has_build_id_of(module)) return true;
  handle_ = nullptr;
  session_.reset();
  return false;
}

void ModuleFiles::report_vdso() {
  vdso_ = read_own_vdso();
  if (vdso_.empty()) return;
  handle_ = dwfl_report_offline_memory(session_.get(), kVdso, kVdso, vdso_.data(), vdso_.size());
}

// `name` is where a separate debug file is looked for.
void ModuleFiles::report_file(const std::string& path, const std::string& name) {
  const int fd = open_regular(path);
  if (fd < 0) return;
  handle_ = dwfl_report_elf(session_.get(), name.c_str(), name.c_str(), fd, 0, true);
  if (handle_ == nullptr) close(fd);  // otherwise it is the library's now
}

// Of a file without one nothing better is known than its path. The vDSO may be another kernel's unless it says
// otherwise.
bool ModuleFiles::has_build_id_of(const Module& module) const {
  if (module.build_id.empty() && module.path != kVdso) return true;
  const unsigned char* bytes = nullptr;
  GElf_Addr address = 0;
  const int count = dwfl_module_build_id(handle_, &bytes, &address);
  return module.build_id == build_id_text(bytes, static_cast<std::size_t>(std::max(count, 0)));
}

}  // namespace leakwatch
