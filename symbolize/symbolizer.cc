// SPDX-License-Identifier: Apache-2.0
//
// Addresses to functions, through libdw. Three sources, the best one first:
//
//   debug information   functions, all inlined ones, files and lines; in the file itself or in a separate one
//   symbol table        the function alone
//   nothing             "libfoo.so+0x1a2b", where the function begins, if the unwind tables tell: the same in every run
//
// libdw finds and opens the files and decodes what is in them; the searching is done here, over sorted tables.
//
// A module's file is named by somebody else's process and may hold anything: no content may make this code throw,
// recurse without limit or loop, and a file with the wrong build id is as good as none.
#include "symbolize/symbolizer.h"

#include <array>
#include <charconv>
#include <optional>
#include <unordered_map>
#include <utility>

#include "symbolize/debug_information.h"
#include "symbolize/function_starts.h"
#include "symbolize/module_files.h"
#include "symbolize/symbol_table.h"

namespace leakwatch {

namespace {

Dwarf* dwarf_of(Dwfl_Module* module, Dwarf_Addr& bias) {
  return dwfl_module_getdwarf(module, &bias);
}

// A module with everything that is known of it.
class OpenModule {
 public:
  explicit OpenModule(Dwfl_Module* module, Dwarf_Addr bias)
      : bias_(bias),
        symbols_(module),
        dwarf_(dwarf_of(module, dwarf_bias_)),
        debug_(dwarf_, symbols_, dwarf_bias_),
        module_(module) {}
  OpenModule(const OpenModule&) = delete;
  OpenModule& operator=(const OpenModule&) = delete;

  // As Symbolizer::resolve, but may be empty, or lack the outermost name.
  std::vector<Frame> frames(std::uint64_t address);
  std::uint64_t function_start(std::uint64_t address);
  SymbolSource source() const { return {!symbols_.empty() || !debug_.empty(), !debug_.empty()}; }

 private:
  Dwarf_Addr bias_;
  Dwarf_Addr dwarf_bias_ = 0;
  SymbolTable symbols_;
  Dwarf* dwarf_;
  DebugInformation debug_;
  Dwfl_Module* module_;
  std::optional<FunctionStarts> starts_;  // read when first needed
};

std::uint64_t OpenModule::function_start(std::uint64_t address) {
  Dwarf_Addr bias = 0;
  if (!starts_) starts_.emplace(dwfl_module_getelf(module_, &bias));
  return starts_->around(address);
}

std::vector<Frame> OpenModule::frames(std::uint64_t address) {
  address += bias_;
  std::vector<Frame> frames = debug_.frames(address - dwarf_bias_);
  if (frames.empty()) frames.emplace_back();
  Frame& outermost = frames.back();
  if (outermost.system_name.empty()) {
    outermost.system_name = symbols_.covering(address);
    outermost.function = demangle(outermost.system_name);
  }
  return frames;
}

std::string last_resort_name(const Module& module, std::uint64_t address) {
  std::string name = module.path.substr(module.path.find_last_of('/') + 1);
  std::array<char, 16> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), address, 16).ptr;
  return (name.empty() ? "[unknown]" : name) + "+0x" + std::string(digits.data(), end);
}

// For libdwfl, which asks for a main file only where it was given none. It is always given one.
int find_no_file(Dwfl_Module*, void**, const char*, Dwarf_Addr, char**, Elf**) {
  return -1;
}

// Debug files of a process with a root of its own are in that root, unless they were only installed in ours.
std::string debug_path_of(const SymbolizerOptions& options) {
  if (!options.debug_path.empty() || options.root.empty()) return options.debug_path;
  return ":.debug:" + options.root + "/usr/lib/debug:/usr/lib/debug";
}

}  // namespace

class Symbolizer::Impl {
 public:
  explicit Impl(SymbolizerOptions options)
      : debug_path_(debug_path_of(options)), root_(std::move(options.root)), pid_(options.pid) {}
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  std::vector<Frame> resolve(const Module& module, std::uint64_t address);
  SymbolSource source(const Module& module);

 private:
  struct Entry {
    std::unique_ptr<ModuleFiles> files;
    std::unique_ptr<OpenModule> open;  // null when there is no file to use
  };

  OpenModule* open(const Module& module);

  std::string debug_path_;
  std::string root_;
  pid_t pid_;
  char* debug_path_text_ = debug_path_.empty() ? nullptr : debug_path_.data();  // null: the library's default
  Dwfl_Callbacks callbacks_ = {find_no_file, dwfl_standard_find_debuginfo, dwfl_offline_section_address,
                               &debug_path_text_};
  std::unordered_map<std::string, Entry> modules_;  // failures are remembered too
};

OpenModule* Symbolizer::Impl::open(const Module& module) {
  const auto [position, is_new] = modules_.try_emplace(module_identity(module));
  Entry& entry = position->second;
  if (is_new) {
    entry.files = std::make_unique<ModuleFiles>(callbacks_, root_, pid_, module);
    Dwfl_Module* handle = entry.files->handle();
    if (handle != nullptr) entry.open = std::make_unique<OpenModule>(handle, entry.files->bias());
  }
  return entry.open.get();
}

std::vector<Frame> Symbolizer::Impl::resolve(const Module& module, std::uint64_t address) {
  OpenModule* found = open(module);
  std::vector<Frame> frames;
  if (found != nullptr) frames = found->frames(address);
  if (frames.empty()) frames.emplace_back();
  Frame& outermost = frames.back();
  if (outermost.system_name.empty()) {
    const std::uint64_t start = found == nullptr ? address : found->function_start(address);
    outermost.function = outermost.system_name = last_resort_name(module, start);
  }
  return frames;
}

SymbolSource Symbolizer::Impl::source(const Module& module) {
  const OpenModule* found = open(module);
  return found == nullptr ? SymbolSource{} : found->source();
}

Symbolizer::Symbolizer(SymbolizerOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}

Symbolizer::~Symbolizer() = default;

std::vector<Frame> Symbolizer::resolve(const Module& module, std::uint64_t address) {
  return impl_->resolve(module, address);
}

SymbolSource Symbolizer::source(const Module& module) {
  return impl_->source(module);
}

}  // namespace leakwatch
