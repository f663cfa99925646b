// SPDX-License-Identifier: Apache-2.0
//
// A process loads what was delivered, wherever its root and its mounts are: it says so itself, by dlopen.
#include "cli/join/object_delivery.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <iterator>

#include "cli/base/error.h"
#include "cli/process/loaded_modules.h"
#include "cli/trace/remote_call.h"
#include "tests/unit/catch.h"
#include "tests/unit/spawned_program.h"

namespace leakwatch {
namespace {

// An object with the name of ours, in a folder that all can enter.
class SomeObject {
 public:
  explicit SomeObject(std::filesystem::perms folder_permissions = std::filesystem::perms{0755}) {
    std::ofstream(folder_.path() / "own.c") << "int leakwatch_test(void) { return 1; }\n";
    fixture::run({"gcc", "-shared", "-fPIC", "-Wl,-soname,libleakwatch.so", "-o", path(), folder_.path() / "own.c"});
    std::filesystem::permissions(folder_.path(), folder_permissions);
  }
  std::string path() const { return folder_.path() / "libleakwatch.so"; }

 private:
  TemporaryFolder folder_;
};

AttachFacts facts_of(pid_t pid, uid_t user = geteuid(), gid_t group = getegid()) {
  AttachFacts facts;
  facts.pid = pid;
  facts.user = user;
  facts.group = group;
  return facts;
}

// Before anything is mounted: it must not be seen, and emptied, outside.
bool mounts_apart() {
  return mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
}

bool covers(const char* folder, unsigned long flags) {
  return mount("tmpfs", folder, "tmpfs", flags, "mode=1777") == 0;
}

// A root of its own, with ours bound into it as far as libc goes.
bool changes_root(const std::filesystem::path& root, std::string& program) {
  for (const char* folder : {"/usr", "/lib", "/lib64"}) {
    const std::filesystem::path inner = root / (folder + 1);
    std::error_code error;
    std::filesystem::create_directories(inner, error);
    if (std::filesystem::exists(folder) && mount(folder, inner.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0) {
      return false;
    }
  }
  std::filesystem::create_directories(root / "tmp");
  std::filesystem::copy_file(program, root / "program");
  program = "/program";
  return chroot(root.c_str()) == 0 && chdir("/") == 0;
}

void check_is_loaded_by(RemoteCall& remote, const ObjectDelivery& delivery) {
  const std::uint64_t open_object = remote.find_function(ModuleRole::kLibc, "dlopen");
  REQUIRE(open_object != 0);
  constexpr std::uint64_t kNow = 2;  // RTLD_NOW
  const RemoteCallResult result = remote.call(open_object, {delivery.path(), kNow});
  INFO(result.reason);
  REQUIRE(result.state == RemoteCallResult::State::kReturned);
  CHECK(remote.find_function(ModuleRole::kOwn, "leakwatch_test") != 0);
}

// It is mapped by the process itself, and gone from its folders afterwards.
void check_loads(pid_t pid, RemoteCall& remote, ObjectDelivery& delivery) {
  check_is_loaded_by(remote, delivery);
  const std::string seen = fmt::format("/proc/{}/root{}", pid, delivery.path());
  CHECK(std::filesystem::exists(seen));
  const bool is_copy = delivery.is_copy();
  delivery.withdraw();
  CHECK(std::filesystem::exists(seen) != is_copy);
  CHECK(std::filesystem::exists(std::filesystem::path(seen).parent_path()) != is_copy);
}

TEST_CASE("an object that the process sees is loaded from where it is", "[attach]") {
  SKIP_WITHOUT_PTRACE();
  const SomeObject object;
  SpawnedProgram program(kSleeper);
  REQUIRE(program.start());
  RemoteCall remote(program.pid());
  ObjectDelivery delivery(facts_of(program.pid()), object.path(), remote);
  CHECK_FALSE(delivery.is_copy());
  CHECK(delivery.path() == object.path());
  check_loads(program.pid(), remote, delivery);
}

#define START_OR_SKIP(program, ...)                     \
  if (!(program).start(__VA_ARGS__)) {                  \
    WARN("skipped: no such namespaces or mounts here"); \
    return;                                             \
  }                                                     \
  static_assert(true, "a semicolon follows")

TEST_CASE("a process with other mounts gets a copy", "[attach]") {
  SKIP_WITHOUT_PTRACE();
  const SomeObject object;
  SpawnedProgram program(kSleeper);
  START_OR_SKIP(program, CLONE_NEWNS, [&](std::string&) {
    return mounts_apart() && covers(std::filesystem::path(object.path()).parent_path().c_str(), 0);
  });
  RemoteCall remote(program.pid());
  ObjectDelivery delivery(facts_of(program.pid()), object.path(), remote);
  CHECK(delivery.is_copy());
  check_loads(program.pid(), remote, delivery);
}

TEST_CASE("a process with another root gets a copy there", "[attach]") {
  SKIP_WITHOUT_PTRACE();
  const SomeObject object;
  const TemporaryFolder root;
  SpawnedProgram program(kSleeper);
  START_OR_SKIP(program, CLONE_NEWNS,
                [&](std::string& path) { return mounts_apart() && changes_root(root.path(), path); });
  RemoteCall remote(program.pid());
  ObjectDelivery delivery(facts_of(program.pid()), object.path(), remote);
  CHECK(delivery.is_copy());
  CHECK(delivery.path().starts_with("/tmp/leakwatch-"));
  check_loads(program.pid(), remote, delivery);
  CHECK(std::filesystem::is_empty(root.path() / "tmp"));
}

TEST_CASE("folders from which nothing may be executed are passed over", "[attach]") {
  SKIP_WITHOUT_PTRACE();
  const SomeObject object;
  const TemporaryFolder root;
  SpawnedProgram program(kSleeper);
  START_OR_SKIP(program, CLONE_NEWNS, [&](std::string& path) {
    return mounts_apart() && changes_root(root.path(), path) && covers("/tmp", MS_NOEXEC);
  });
  RemoteCall remote(program.pid());
  ObjectDelivery delivery(facts_of(program.pid()), object.path(), remote);
  CHECK(delivery.path().starts_with("/leakwatch-"));
  check_loads(program.pid(), remote, delivery);
}

// Its root cannot be written to, and from its /tmp nothing may be executed, as in hardened containers.
bool has_no_folder(const std::filesystem::path& root, std::string& program, bool has_proc) {
  std::filesystem::create_directories(root / "proc");
  return mounts_apart() && mount(root.c_str(), root.c_str(), nullptr, MS_BIND, nullptr) == 0 &&
         (!has_proc || mount("proc", (root / "proc").c_str(), "proc", 0, nullptr) == 0) &&
         changes_root(root, program) && covers("/tmp", MS_NOEXEC) &&
         mount(nullptr, "/", nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) == 0;
}

std::size_t open_files(pid_t pid) {
  const std::filesystem::directory_iterator all(fmt::format("/proc/{}/fd", pid));
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

TEST_CASE("a process without a folder for it gets the object in memory", "[attach]") {
  SKIP_WITHOUT_PTRACE();
  const SomeObject object;
  const TemporaryFolder root;
  SpawnedProgram program(kSleeper);
  START_OR_SKIP(program, CLONE_NEWNS, [&](std::string& path) { return has_no_folder(root.path(), path, true); });
  const std::size_t files = open_files(program.pid());
  RemoteCall remote(program.pid());
  ObjectDelivery delivery(facts_of(program.pid()), object.path(), remote);
  CHECK(delivery.is_copy());
  CHECK(open_files(program.pid()) == files + 1);
  check_is_loaded_by(remote, delivery);
  delivery.withdraw();
  CHECK(open_files(program.pid()) == files);
  CHECK(remote.find_function(ModuleRole::kOwn, "leakwatch_test") != 0);
}

TEST_CASE("a process that no way leads to is told what would permit it", "[attach]") {
  SKIP_WITHOUT_PTRACE();
  const SomeObject object;
  const TemporaryFolder root;
  SpawnedProgram program(kSleeper);
  START_OR_SKIP(program, CLONE_NEWNS, [&](std::string& path) { return has_no_folder(root.path(), path, false); });
  const std::size_t files = open_files(program.pid());
  std::string message;
  try {
    RemoteCall remote(program.pid());
    const ObjectDelivery delivery(facts_of(program.pid()), object.path(), remote);
  } catch (const Error& error) {
    message = error.what();
    CHECK(error.status() == 126);
  }
  INFO(message);
  CHECK(message.find("/tmp (mounted noexec)") != std::string::npos);
  CHECK(message.find("/ (Read-only file system)") != std::string::npos);
  CHECK(message.find("Mount a tmpfs without noexec") != std::string::npos);
  CHECK(message.find("it sees no /proc") != std::string::npos);
  CHECK(open_files(program.pid()) == files);
}

// As root joins a service of another user: what only root may read is copied, and the copy may be read by all.
TEST_CASE("an object that the process may not read is copied", "[attach]") {
  SKIP_WITHOUT_PTRACE();
  if (geteuid() != 0) {
    WARN("skipped: only root may become somebody else");
    return;
  }
  constexpr uid_t kNobody = 65534;
  const SomeObject object(std::filesystem::perms{0700});
  SpawnedProgram program(kSleeper);
  REQUIRE(program.start(0, [](std::string&) { return setgid(kNobody) == 0 && setuid(kNobody) == 0; }));
  RemoteCall remote(program.pid());
  ObjectDelivery delivery(facts_of(program.pid(), kNobody, kNobody), object.path(), remote);
  CHECK(delivery.is_copy());
  check_loads(program.pid(), remote, delivery);
}

// A link in the folders of the process leads where it would lead the process.
TEST_CASE("a process cannot lead us out of its root", "[attach]") {
  SKIP_WITHOUT_PTRACE();
  const SomeObject object;
  const TemporaryFolder root, outside;
  SpawnedProgram program(kSleeper);
  START_OR_SKIP(program, CLONE_NEWNS, [&](std::string& path) {
    if (!mounts_apart() || !changes_root(root.path(), path)) return false;
    return rename("/tmp", "/former") == 0 && symlink(outside.path().c_str(), "/tmp") == 0;
  });
  RemoteCall remote(program.pid());
  const ObjectDelivery delivery(facts_of(program.pid()), object.path(), remote);
  CHECK(delivery.is_copy());
  CHECK(std::filesystem::is_empty(outside.path()));
}

}  // namespace
}  // namespace leakwatch
