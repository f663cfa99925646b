// SPDX-License-Identifier: Apache-2.0
//
// Each refusal and each warning against a real file that the compiler builds for it here. A test states what a user
// would see: the exit status, and the words of the message that matter. Privileges need another user than root, so that
// test forks and drops its own.
#include "cli/join/preflight.h"

#include <elf.h>
#include <fmt/format.h>
#include <linux/capability.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "cli/base/error.h"
#include "cli/join/library_list.h"
#include "tests/unit/catch.h"
#include "tests/unit/temporary_folder.h"

using namespace leakwatch;

namespace {

constexpr uid_t kNobody = 65534;
constexpr const char* kEmptyMain = "int main(void) { return 0; }\n";

struct Outcome {
  int status = 0;  // 0: would be started
  std::string message;
  Preflight preflight;

  bool says(const std::string& words) const { return message.find(words) != std::string::npos; }
  bool warns(const std::string& words) const {
    for (const std::string& warning : preflight.warnings) {
      if (warning.find(words) != std::string::npos) return true;
    }
    return false;
  }
};

Outcome inspect(const std::string& command) {
  Outcome outcome;
  try {
    outcome.preflight = inspect_command(command);
  } catch (const Error& error) {
    outcome.status = error.status();
    outcome.message = error.what();
  }
  INFO(outcome.message);
  CHECK(outcome.message.find('\n') == std::string::npos);
  return outcome;
}

bool succeeds(const std::string& shell_line) {
  return std::system((shell_line + " >/dev/null 2>&1").c_str()) == 0;
}

// A folder that builds programs into itself.
class Workshop {
 public:
  std::string path(const std::string& name) const { return std::string(folder_.path()) + "/" + name; }

  std::string write(const std::string& name, const std::string& text, unsigned mode = 0755) const {
    std::ofstream(path(name), std::ios::binary) << text;
    REQUIRE(chmod(path(name).c_str(), mode) == 0);
    return path(name);
  }

  bool try_compile(const std::string& name, const std::string& source, const std::string& flags) const {
    write(name + ".c", source, 0644);
    return succeeds(fmt::format("cc -w -o {0} {0}.c {1}", path(name), flags));
  }

  std::string compile(const std::string& name, const std::string& source, const std::string& flags = "") const {
    INFO(name << " " << flags);
    REQUIRE(try_compile(name, source, flags));
    return path(name);
  }

  std::optional<std::string> build_go(const std::string& name, const std::string& source,
                                      const std::string& settings) const {
    write(name + ".go", source, 0644);
    const std::string command = fmt::format(
        "cd {0} && GO111MODULE=off GOFLAGS= GOTOOLCHAIN=local GOPROXY=off {1} -o {2} {2}.go", path(""), settings, name);
    if (succeeds(command)) return path(name);
    WARN("skipped: no working go on PATH to build " << name);
    return std::nullopt;
  }

  // A copy of a good program with one byte changed.
  std::string patch(const std::string& name, std::size_t offset, char value) const {
    std::string file = compile(name, kEmptyMain);
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(static_cast<std::streamoff>(offset));
    stream.put(value);
    return file;
  }

  void open_to_all() const { REQUIRE(chmod(path("").c_str(), 0755) == 0); }

 private:
  TemporaryFolder folder_;
};

class Environment {
 public:
  Environment(std::string name, const std::string& value) : name_(std::move(name)) {
    const char* old = getenv(name_.c_str());
    if (old != nullptr) old_ = old;
    setenv(name_.c_str(), value.c_str(), 1);
  }
  ~Environment() { old_ ? setenv(name_.c_str(), old_->c_str(), 1) : unsetenv(name_.c_str()); }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  std::string name_;
  std::optional<std::string> old_;
};

// What inspect() says to a user without rights; only root can ask that.
std::string message_as_nobody(const std::string& command) {
  std::array<int, 2> ends = {};
  REQUIRE(pipe(ends.data()) == 0);
  const pid_t pid = fork();
  if (pid == 0) {
    if (setgid(kNobody) != 0 || setuid(kNobody) != 0) _exit(1);
    std::string message = "started";
    try {
      inspect_command(command);
    } catch (const Error& error) {
      message = error.what();
    }
    _exit(write(ends[1], message.data(), message.size()) > 0 ? 0 : 1);
  }
  close(ends[1]);
  std::array<char, 2000> buffer;
  const ssize_t count = read(ends[0], buffer.data(), buffer.size());
  close(ends[0]);
  int status = 0;
  REQUIRE(waitpid(pid, &status, 0) == pid);
  REQUIRE(status == 0);
  return {buffer.data(), static_cast<std::size_t>(count)};
}

// What setcap cap_net_bind_service+ep writes.
bool give_capability(const std::string& file) {
  vfs_cap_data data = {};
  data.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE;
  data.data[0].permitted = 1U << CAP_NET_BIND_SERVICE;
  return setxattr(file.c_str(), "security.capability", &data, XATTR_CAPS_SZ_2, 0) == 0;
}

}  // namespace

TEST_CASE("an ordinary program is started without a word") {
  const Workshop workshop;
  const std::string file = workshop.compile("plain", kEmptyMain);
  const Outcome outcome = inspect(file);
  CHECK(outcome.status == 0);
  CHECK(outcome.preflight.command == file);
  CHECK(outcome.preflight.executable == file);
  CHECK_FALSE(outcome.preflight.is_script);
  CHECK_FALSE(outcome.preflight.own_operators);
  CHECK(outcome.preflight.warnings.empty());
  CHECK(inspect(workshop.compile("no_pie", "void* malloc(unsigned long); int main(void) { return malloc != 0; }",
                                 "-no-pie -fno-pie"))
            .preflight.warnings.empty());  // an import with an address is no malloc of its own
}

TEST_CASE("what does not exist is not found, with status 127") {
  const Workshop workshop;
  CHECK(inspect(workshop.path("absent")).status == 127);
  CHECK(inspect(workshop.path("absent")).says(workshop.path("absent") + " does not exist"));
  CHECK(inspect("").status == 127);
  CHECK(inspect("leakwatch-no-such-program").status == 127);
  CHECK(inspect("leakwatch-no-such-program").says("not found in any folder of PATH"));
  const Environment path("PATH", "");
  CHECK(inspect(workshop.write("file", "") + "/below").status == 127);
}

TEST_CASE("a program is found on PATH as execvp does it") {
  const Workshop workshop;
  std::filesystem::create_directories(workshop.path("a/tool"));
  std::filesystem::create_directory(workshop.path("b"));
  std::filesystem::create_directory(workshop.path("c"));
  workshop.write("b/tool", "no right to execute", 0644);
  workshop.compile("c/tool", kEmptyMain);
  const std::string folders = fmt::format("{}:{}:", workshop.path("a"), workshop.path("b"));
  {
    const Environment path("PATH", folders + workshop.path("c"));
    CHECK(inspect("tool").preflight.command == workshop.path("c/tool"));
  }
  const Environment path("PATH", folders);
  CHECK(inspect("tool").status == 126);
  CHECK(inspect("tool").says(workshop.path("a/tool") + " is a folder"));
  const std::filesystem::path here = std::filesystem::current_path();
  std::filesystem::current_path(workshop.path("c"));
  CHECK(inspect("tool").preflight.command == "./tool");  // an empty entry is the current folder
  const Environment elsewhere("PATH", "/nowhere");
  CHECK(inspect("tool").says("write ./tool"));
  std::filesystem::current_path(here);
}

TEST_CASE("what cannot be executed is refused") {
  const Workshop workshop;
  const Outcome outcome = inspect(workshop.write("data", "text", 0644));
  CHECK(outcome.status == 126);
  CHECK(outcome.says("data is not executable"));
  CHECK(inspect(workshop.path("")).says("is a folder"));
  CHECK(inspect("/dev/null").says("is not a regular file"));
  CHECK(inspect(workshop.write("binary", std::string("MZ\0\0", 4))).says("neither an ELF program nor a script"));
}

TEST_CASE("a script runs by its interpreter") {
  const Workshop workshop;
  const std::string script = workshop.write("script", "#! /bin/sh -e\nexit 0\n");
  const Outcome outcome = inspect(script);
  CHECK(outcome.status == 0);
  CHECK(outcome.preflight.is_script);
  CHECK(outcome.preflight.command == script);
  CHECK(outcome.preflight.executable == "/bin/sh");
  CHECK(inspect(workshop.write("nested", "#!" + script)).preflight.executable == "/bin/sh");
  CHECK(inspect(workshop.write("bare", "exit 0\n")).preflight.executable == "/bin/sh");
  CHECK(inspect(workshop.write("empty", "")).preflight.executable == "/bin/sh");
}

TEST_CASE("a script that names env runs by what env finds") {
  const Workshop workshop;
  std::filesystem::create_directory(workshop.path("bin"));
  const std::string tool = workshop.compile("bin/tool", kEmptyMain);
  const Environment path("PATH", workshop.path("bin") + ":/usr/bin:/bin");
  const std::string assignment = "#!/usr/bin/env -S PATH=" + workshop.path("bin") + " tool\n";
  for (const std::string& line :
       {std::string("#!/usr/bin/env tool\n"), std::string("#!/usr/bin/env -S tool -x y\n"),
        std::string("#!/usr/bin/env -vS A=1 -u HOME tool\n"), std::string("#!/usr/bin/env -Stool -x\n"),
        std::string("#!/usr/bin/env --split-string=tool -x\n"), "#!/usr/bin/env " + tool + "\n", assignment}) {
    INFO(line);
    CHECK(inspect(workshop.write("script", line)).preflight.executable == tool);
  }
}

TEST_CASE("a script whose interpreter cannot run is refused") {
  const Workshop workshop;
  const Outcome missing = inspect(workshop.write("missing", "#!/no/such/shell\n"));
  CHECK(missing.status == 126);
  CHECK(missing.says("/no/such/shell, the interpreter of " + workshop.path("missing") + ", does not exist"));
  const Outcome unknown = inspect(workshop.write("unknown", "#!/usr/bin/env no-such-tool\n"));
  CHECK(unknown.status == 126);
  CHECK(unknown.says("no-such-tool, which was not found"));
  CHECK(inspect(workshop.write("nobody", "#!/usr/bin/env\n")).says("without naming an interpreter"));
  CHECK(inspect(workshop.write("clears", "#!/usr/bin/env -iS sh\n")).says("clear the environment"));
  CHECK(inspect(workshop.write("clears", "#!/usr/bin/env -S - sh\n")).says("clear the environment"));
  CHECK(inspect(workshop.write("self", "#!" + workshop.path("self") + "\n")).says("from #! line to #! line"));
}

TEST_CASE("a script whose interpreter cannot be watched is refused, and both are named") {
  const Workshop workshop;
  const std::string interpreter = workshop.compile("static", kEmptyMain, "-static");
  const Outcome outcome = inspect(workshop.write("script", "#!" + interpreter + "\n"));
  CHECK(outcome.status == 126);
  CHECK(outcome.says(interpreter + ", which runs " + workshop.path("script") + ", is statically linked"));
}

TEST_CASE("a name in a file cannot command the terminal") {
  const Workshop workshop;
  const Outcome outcome = inspect(workshop.write("script", "#!/no/\x1b[2J\n"));
  CHECK(outcome.status == 126);
  CHECK(outcome.message.find('\x1b') == std::string::npos);
}

TEST_CASE("a statically linked program is refused") {
  const Workshop workshop;
  for (const char* flags : {"-static", "-static-pie"}) {
    const Outcome outcome = inspect(workshop.compile("static", kEmptyMain, flags));
    INFO(flags << ": " << outcome.message);
    CHECK(outcome.status == 126);
    CHECK(outcome.says("static is statically linked"));
    CHECK(outcome.says("Link it dynamically"));
  }
  CHECK(inspect(workshop.compile("libx.so", "int x;", "-shared -fPIC")).says("is a shared library"));
}

TEST_CASE("a Go program without cgo is refused, even where it names a loader") {
  const Workshop workshop;
  const std::string source = "package main\n\nfunc main() {}\n";
  for (const char* mode : {"exe", "pie"}) {
    const auto file = workshop.build_go("hello", source, fmt::format("CGO_ENABLED=0 go build -buildmode={}", mode));
    if (!file) continue;
    const Outcome outcome = inspect(*file);
    CHECK(outcome.status == 126);
    CHECK(outcome.says("built without cgo"));
    CHECK(outcome.says("pprof"));
  }
}

TEST_CASE("a Go program with cgo is started with a warning") {
  const Workshop workshop;
  const auto file =
      workshop.build_go("hello", "package main\n\nimport \"C\"\n\nfunc main() {}\n", "CGO_ENABLED=1 go build");
  if (!file) return;
  const Outcome outcome = inspect(*file);
  CHECK(outcome.status == 0);
  CHECK(outcome.warns("Go's own heap does not go through malloc"));
}

TEST_CASE("a program for another machine is refused") {
  const Workshop workshop;
#if defined(__x86_64__)
  constexpr char kOther = static_cast<char>(EM_AARCH64);
#else
  constexpr char kOther = EM_X86_64;
#endif
  const Outcome outcome = inspect(workshop.patch("foreign", offsetof(Elf64_Ehdr, e_machine), kOther));
  CHECK(outcome.status == 126);
  CHECK(outcome.says("foreign is built for"));
  const Outcome narrow = inspect(workshop.patch("narrow", EI_CLASS, ELFCLASS32));
  CHECK(narrow.status == 126);
  CHECK(narrow.says("is a 32-bit program"));
  CHECK(inspect(workshop.patch("big", EI_DATA, ELFDATA2MSB)).says("big-endian"));
}

TEST_CASE("a hand-made 32-bit header is enough to be refused as one") {
  const Workshop workshop;
  Elf32_Ehdr header = {};
  std::copy_n(ELFMAG, SELFMAG, header.e_ident);
  header.e_ident[EI_CLASS] = ELFCLASS32;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_type = ET_EXEC;
  header.e_machine = EM_386;
  const std::string bytes(reinterpret_cast<const char*>(&header), sizeof(header));
  CHECK(inspect(workshop.write("i386", bytes)).says("is a 32-bit program"));
}

TEST_CASE("a damaged file is refused") {
  const Workshop workshop;
  CHECK(inspect(workshop.patch("damaged", offsetof(Elf64_Ehdr, e_phoff) + 6, 1)).says("is a damaged ELF file"));
  CHECK(inspect(workshop.write("cut", std::string("\x7f") + "ELF")).says("is a damaged ELF file"));
  CHECK(inspect(workshop.patch("object", offsetof(Elf64_Ehdr, e_type), ET_REL)).says("no program"));
}

TEST_CASE("a program linked with musl is refused") {
  const Workshop workshop;
  const std::string loader = "-Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1";
  const Outcome outcome = inspect(workshop.compile("musl", kEmptyMain, loader));
  CHECK(outcome.status == 126);
  CHECK(outcome.says("musl is linked with musl"));
  if (!succeeds("command -v musl-gcc")) return;
  REQUIRE(succeeds(fmt::format("musl-gcc -o {0} {0}.c", workshop.path("musl"))));
  CHECK(inspect(workshop.path("musl")).says("musl is linked with musl"));
}

TEST_CASE("a program whose loader is missing or unknown is refused") {
  const Workshop workshop;
  const Outcome missing = inspect(workshop.compile("missing", kEmptyMain, "-Wl,--dynamic-linker=/no/ld.so"));
  CHECK(missing.status == 126);
  CHECK(missing.says("its loader /no/ld.so does not exist"));
  const Outcome unknown = inspect(workshop.compile("unknown", kEmptyMain, "-Wl,--dynamic-linker=/bin/sh"));
  CHECK(unknown.status == 126);
  CHECK(unknown.says("is loaded by /bin/sh, which is not glibc's loader"));
}

TEST_CASE("a program with a sanitizer is refused") {
  const Workshop workshop;
  struct Case {
    const char* flags;
    const char* name;
  };
  for (const Case& each :
       {Case{"-fsanitize=address", "AddressSanitizer"}, Case{"-fsanitize=thread", "ThreadSanitizer"},
        Case{"-fsanitize=leak", "LeakSanitizer"}, Case{"-fsanitize=address -static-libasan", "AddressSanitizer"},
        Case{"-fsanitize=thread -static-libtsan", "ThreadSanitizer"}}) {
    if (!workshop.try_compile("sanitized", kEmptyMain, each.flags)) {
      WARN("skipped: this compiler has no runtime for " << each.flags);
      continue;
    }
    const Outcome outcome = inspect(workshop.path("sanitized"));
    INFO(each.flags << ": " << outcome.message);
    CHECK(outcome.status == 126);
    CHECK(outcome.says(each.name));
    CHECK(outcome.says("without -fsanitize="));
  }
}

TEST_CASE("a sanitizer that a library brings is refused too, and UBSan is not") {
  const Workshop workshop;
  workshop.compile("libinner.so", "int inner(void) { return 0; }", "-shared -fPIC -fsanitize=address");
  const std::string flags =
      fmt::format("-L{0} -Wl,-rpath,{0} -Wl,--no-as-needed -linner -Wl,--as-needed", workshop.path(""));
  // The program itself names only libinner.
  const std::string file = workshop.compile("outer", kEmptyMain, flags + " -Wl,--allow-shlib-undefined");
  CHECK(inspect(file).says("outer loads libasan"));
  if (workshop.try_compile("undefined", kEmptyMain, "-fsanitize=undefined")) {
    CHECK(inspect(workshop.path("undefined")).status == 0);
  }
}

TEST_CASE("a malloc of its own is a warning that says what will not be seen") {
  const Workshop workshop;
  const std::string source =
      "static char arena[1 << 20]; static unsigned long used;\n"
      "void* malloc(unsigned long n) { void* p = arena + used; used += (n + 15) & ~15UL; return p; }\n"
      "void free(void* p) {}\n" +
      std::string(kEmptyMain);
  for (const char* flags : {"", "-rdynamic", "-no-pie", "-fvisibility=hidden"}) {
    const Outcome outcome = inspect(workshop.compile("own", source, flags));
    INFO(flags << outcome.message);
    CHECK(outcome.status == 0);
    CHECK(outcome.warns("a malloc of its own linked in"));
    CHECK(outcome.warns("far below RSS"));
    CHECK_FALSE(outcome.preflight.own_operators);
  }
}

TEST_CASE("an allocator that is linked in is named") {
  const Workshop workshop;
  struct Case {
    const char* symbol;
    const char* name;
  };
  for (const Case& each :
       {Case{"mallocx", "jemalloc"}, Case{"je_malloc", "jemalloc"}, Case{"_rjem_malloc", "jemalloc"},
        Case{"tc_malloc", "tcmalloc"}, Case{"TCMallocInternalMalloc", "tcmalloc"}, Case{"mi_malloc", "mimalloc"},
        Case{"_mi_malloc_generic", "mimalloc"}, Case{"mi_malloc_aligned", "mimalloc"}, Case{"sn_malloc", "snmalloc"},
        Case{"rpmalloc", "rpmalloc"}, Case{"rpaligned_alloc", "rpmalloc"}}) {
    const std::string object = fmt::format("void* {}(unsigned long n) {{ return 0; }}\n", each.symbol);
    const Outcome outcome = inspect(workshop.compile("service", object + kEmptyMain));
    INFO(each.symbol);
    CHECK(outcome.status == 0);
    REQUIRE(outcome.preflight.warnings.size() == 1);
    CHECK(outcome.warns(fmt::format("service has {} linked in", each.name)));
  }
}

TEST_CASE("an allocator that is linked in is named when the program was stripped of names, by what it prints") {
  const Workshop workshop;
  const auto warnings_of = [&](const std::string& texts, const std::string& flags) {
    const std::string source = fmt::format("const char* const texts[] = {{{}}};\n", texts);
    return inspect(workshop.compile("service", source + kEmptyMain, flags)).preflight.warnings;
  };
  const std::string jemalloc = R"("<jemalloc>: Error in munmap(): %s\n", "___ Begin jemalloc statistics ___\n")";
  const std::string mimalloc = R"("mimalloc: error: ", "mimalloc: warning: ")";
  REQUIRE(warnings_of(jemalloc, "-s").size() == 1);
  CHECK(warnings_of(jemalloc, "-s")[0].find("service has jemalloc linked in") != std::string::npos);
  REQUIRE(warnings_of(mimalloc, "-s").size() == 1);
  CHECK(warnings_of(mimalloc, "-s")[0].find("service has mimalloc linked in") != std::string::npos);
  // A program that reads somebody's log knows one of the texts, and one with its names has none of the functions.
  CHECK(warnings_of(R"("<jemalloc>: ", "mimalloc: error: ")", "-s").empty());
  CHECK(warnings_of(jemalloc + ", " + mimalloc, "").empty());
}

TEST_CASE("the mimalloc of a Python with a global interpreter lock is idle, unless it was asked for") {
  const Workshop workshop;
  const auto warns = [&](const std::string& functions) {
    const std::string source = R"(const char* const texts[] = {"mimalloc: error: ", "mimalloc: warning: "};)"
                               "\n";
    return !inspect(workshop.compile("python", source + functions + kEmptyMain, "-s -rdynamic"))
                .preflight.warnings.empty();
  };
  const std::string python = "void Py_BytesMain(void) {}\n";
  CHECK_FALSE(warns(python));
  CHECK(warns(python + "void _Py_DecRefShared(void) {}\n"));
  setenv("PYTHONMALLOC", "mimalloc_debug", 1);
  CHECK(warns(python));
  unsetenv("PYTHONMALLOC");
}

TEST_CASE("a program that loads its allocator as a library has none linked in") {
  const Workshop workshop;
  const std::string source = "int mallctl(); int main(void) { return mallctl() == 0; }";
  for (const std::string flags : {"-l:libjemalloc.so.2", "-l:libjemalloc.so.2 -s"}) {
    if (!workshop.try_compile("service", source, flags)) {
      WARN("skipped: no libjemalloc.so.2 here");
      return;
    }
    CHECK(inspect(workshop.path("service")).preflight.warnings.empty());
  }
}

TEST_CASE("the real jemalloc, linked in, is named") {
  const Workshop workshop;
  const std::string source = "void* malloc(unsigned long); int main(void) { return malloc(7) == 0; }";
  if (!workshop.try_compile("service", source, "-Wl,-Bstatic -ljemalloc -Wl,-Bdynamic -lstdc++ -lm -lpthread")) {
    WARN("skipped: no libjemalloc.a here");
    return;
  }
  CHECK(inspect(workshop.path("service")).warns("has jemalloc linked in"));
}

TEST_CASE("a library with malloc and operators of its own is found") {
  const Workshop workshop;
  workshop.compile("libboth.so",
                   "void* malloc(unsigned long n) { return 0; } void* _Znwm(unsigned long n) { return 0; }",
                   "-shared -fPIC");
  workshop.compile("libone.so", "void* _Znwm(unsigned long n) { return 0; }", "-shared -fPIC");
  workshop.compile("libdeep.so", "int deep;",
                   fmt::format("-shared -fPIC -Wl,--no-as-needed -L{0} -lboth -Wl,-rpath,{0}", workshop.path("")));
  const auto link = [&](const std::string& name) {
    const std::string flags = fmt::format("-Wl,--no-as-needed -L{0} -l{1} -Wl,-rpath,{0}", workshop.path(""), name);
    return inspect(workshop.compile("with_" + name, kEmptyMain, flags)).preflight;
  };
  CHECK(link("both").own_operators);
  CHECK(link("deep").own_operators);
  CHECK_FALSE(link("one").own_operators);
}

TEST_CASE("an allocator in LD_PRELOAD counts as one of the program's libraries") {
  const Workshop workshop;
  const std::string library =
      workshop.compile("libboth.so", "char malloc; char* get(void) { return &malloc; }", "-shared -fPIC");
  const std::string both = workshop.compile(
      "libreal.so", "void* malloc(unsigned long n) { return 0; } void* _Znwm(unsigned long n) { return 0; }",
      "-shared -fPIC");
  const std::string file = workshop.compile("plain", kEmptyMain);
  CHECK_FALSE(inspect(file).preflight.own_operators);
  {
    const Environment preload("LD_PRELOAD", library);  // a variable of that name is not a function
    CHECK_FALSE(inspect(file).preflight.own_operators);
  }
  const Environment preload("LD_PRELOAD", both);
  CHECK(inspect(file).preflight.own_operators);
}

TEST_CASE("the allocator libraries of this distribution are recognised") {
  const Workshop workshop;
  const std::string file = workshop.compile("plain", kEmptyMain);
  for (const char* name : {"libjemalloc.so.2", "libtcmalloc_minimal.so.4", "libtcmalloc.so.4", "libmimalloc.so.2"}) {
    const bool is_here = succeeds(fmt::format("ldconfig -p | grep -q {0} || /sbin/ldconfig -p | grep -q {0}", name));
    if (!is_here) continue;
    INFO(name);
    const Environment preload("LD_PRELOAD", name);
    CHECK(inspect(file).preflight.own_operators);
  }
}

TEST_CASE("the loader's list of libraries") {
  CHECK(parse_library_list("\tlinux-vdso.so.1 (0x00007ffd)\n"
                           "\tlibfoo.so => /opt/a b/libfoo.so (0x00007f01)\n"
                           "\tlibgone.so => not found\n"
                           "\t./pre.so (0x00007f02)\n"
                           "\n"
                           "\t/lib64/ld-linux-x86-64.so.2 (0x00007f03)") ==
        std::vector<std::string>{"/opt/a b/libfoo.so", "./pre.so", "/lib64/ld-linux-x86-64.so.2"});
  CHECK(parse_library_list("").empty());
  CHECK(parse_library_list("statically linked\n => \n (0x\n").empty());
}

TEST_CASE("a loader that fails, hangs or babbles lists nothing") {
  const Workshop workshop;
  const std::string line = "/lib/x.so (0x1)";
  CHECK(list_libraries("/no/such/loader", "/bin/sh").empty());
  CHECK(list_libraries(workshop.write("fails", "#!/bin/sh\necho '" + line + "'; exit 1\n"), "/bin/sh").empty());
  CHECK(list_libraries(workshop.write("good", "#!/bin/sh\necho '" + line + "'\n"), "/bin/sh").size() == 1);
  CHECK(list_libraries(workshop.write("babbles", "#!/bin/sh\nexec yes '" + line + "'\n"), "/bin/sh").empty());
  const auto start = std::chrono::steady_clock::now();
  CHECK(list_libraries(workshop.write("hangs", "#!/bin/sh\nexec sleep 60\n"), "/bin/sh", std::chrono::milliseconds(300))
            .empty());
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(20));
}

TEST_CASE("which privileges make the loader ignore preloads") {
  const auto gained = [](mode_t mode, uid_t owner, gid_t group, bool has_capabilities, ucred real, ucred effective) {
    struct stat file = {};
    file.st_mode = S_IFREG | mode;
    file.st_uid = owner;
    file.st_gid = group;
    return !privileges_gained(file, has_capabilities, real, effective).empty();
  };
  const ucred root = {0, 0, 0};
  const ucred user = {0, 1000, 1000};
  CHECK_FALSE(gained(0755, 0, 0, false, user, user));
  CHECK(gained(04755, 0, 1000, false, user, user));
  CHECK_FALSE(gained(04755, 1000, 0, false, user, user));  // set-uid to the one who starts it
  CHECK_FALSE(gained(04755, 0, 0, false, root, root));
  CHECK(gained(04755, 1000, 0, false, root, root));  // root gives up rights: secure mode all the same
  CHECK(gained(04755, 0, 1000, false, user, root));
  CHECK(gained(02755, 1000, 0, false, user, user));
  CHECK_FALSE(gained(02755, 0, 1000, false, user, user));
  CHECK_FALSE(gained(02745, 1000, 0, false, user, user));  // not set-gid without the execute bit of the group
  CHECK(gained(0755, 0, 0, true, user, user));
  CHECK_FALSE(gained(0755, 0, 0, true, root, root));
}

TEST_CASE("a set-uid or set-gid program is refused to another user") {
  if (getuid() != 0) {
    WARN("skipped: only root can become another user");
    return;
  }
  const Workshop workshop;
  workshop.open_to_all();
  const std::string file = workshop.compile("privileged", kEmptyMain);
  REQUIRE(chmod(file.c_str(), 04755) == 0);
  CHECK(inspect(file).status == 0);
  CHECK(message_as_nobody(file).find("privileged is set-uid") != std::string::npos);
  REQUIRE(symlink(file.c_str(), workshop.path("link").c_str()) == 0);
  CHECK(message_as_nobody(workshop.path("link")).find("link is set-uid") != std::string::npos);
  REQUIRE(chmod(file.c_str(), 02755) == 0);
  CHECK(message_as_nobody(file).find("privileged is set-gid") != std::string::npos);
  REQUIRE(chmod(file.c_str(), 0755) == 0);
  CHECK(message_as_nobody(file) == "started");
}

TEST_CASE("a program with file capabilities is refused to another user") {
  const Workshop workshop;
  workshop.open_to_all();
  const std::string file = workshop.compile("capable", kEmptyMain);
  if (getuid() != 0 || !give_capability(file)) {
    WARN("skipped: no right to set file capabilities here, or no room for them");
    return;
  }
  CHECK(inspect(file).status == 0);
  CHECK(message_as_nobody(file).find("capable has file capabilities") != std::string::npos);
}

TEST_CASE("a program that may be executed but not read is refused") {
  if (getuid() != 0) {
    WARN("skipped: only root can become another user");
    return;
  }
  const Workshop workshop;
  workshop.open_to_all();
  const std::string file = workshop.compile("unreadable", kEmptyMain);
  REQUIRE(chmod(file.c_str(), 0711) == 0);
  CHECK(message_as_nobody(file).find("unreadable cannot be read") != std::string::npos);
}

TEST_CASE("a large program is inspected without being read") {
  const Workshop workshop;
  const std::string file = workshop.compile("large", kEmptyMain);
  REQUIRE(truncate(file.c_str(), off_t{1} << 30) == 0);
  const auto start = std::chrono::steady_clock::now();
  CHECK(inspect(file).status == 0);
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(1));
}
