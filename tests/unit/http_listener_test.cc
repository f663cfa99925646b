// SPDX-License-Identifier: Apache-2.0
//
// Addresses that cannot be listened on, sockets in files, and descriptors that no child inherits.
#include "cli/http/http_listener.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "cli/base/error.h"
#include "tests/unit/catch.h"
#include "tests/unit/http_client.h"
#include "tests/unit/temporary_folder.h"

namespace leakwatch {
namespace {

namespace fs = std::filesystem;

HttpAddress at(const std::string& host, std::uint16_t port) {
  return {host, port, ""};
}
HttpAddress at(const fs::path& file) {
  return {"127.0.0.1", 0, file.string()};
}

std::string complaint(const HttpAddress& address) {
  try {
    const HttpListener listener(address);
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::uint16_t port_of(const std::string& url) {
  return static_cast<std::uint16_t>(std::stoi(url.substr(url.rfind(':') + 1)));
}

TEST_CASE("port 0 is any free one, and the URL names it") {
  const HttpListener listener(at("127.0.0.1", 0));
  CHECK(listener.url().starts_with("http://127.0.0.1:"));
  CHECK(listener.url().ends_with("/"));
  CHECK(port_of(listener.url()) != 0);
  CHECK(listener.family() == AF_INET);
  const Client client(listener.url());
}

TEST_CASE("the URL of an IPv6 address has brackets") {
  if (const std::string problem = complaint(at("::1", 0)); !problem.empty()) {
    CHECK(contains(problem, "[::1]:0"));  // a machine without IPv6
    return;
  }
  CHECK(HttpListener(at("::1", 0)).url().starts_with("http://[::1]:"));
}

TEST_CASE("an address in use is named, and another port is suggested") {
  const HttpListener first(at("127.0.0.1", 0));
  const std::uint16_t port = port_of(first.url());
  const std::string message = complaint(at("127.0.0.1", port));
  CHECK(contains(message, "127.0.0.1:" + std::to_string(port)));
  CHECK(contains(message, "--http 127.0.0.1:"));
  CHECK(contains(message, "another process"));
}

TEST_CASE("an address of another machine is said to be one") {
  const std::string message = complaint(at("192.0.2.1", 6060));  // for documentation: nobody has it
  CHECK(contains(message, "192.0.2.1:6060"));
  CHECK(contains(message, "no such address"));
  CHECK(contains(complaint(at("somewhere", 6060)), "'somewhere'"));
}

TEST_CASE("a port can be listened on again at once") {
  std::uint16_t port = 0;
  {
    const HttpListener first(at("127.0.0.1", 0));
    port = port_of(first.url());
    const Client client(first.url());
    const Descriptor accepted = first.accept();  // closed by the server: it will wait in TIME_WAIT
    CHECK(accepted.is_open());
  }
  CHECK(complaint(at("127.0.0.1", port)).empty());
}

TEST_CASE("no descriptor outlives an exec, and none blocks") {
  const TemporaryFolder folder;
  for (const HttpAddress& address : {at("127.0.0.1", 0), at(folder.path() / "socket")}) {
    const HttpListener listener(address);
    CHECK_FALSE(listener.accept().is_open());
    CHECK(errno == EAGAIN);
    const Client client(listener.url());
    const Descriptor accepted = listener.accept();
    REQUIRE(accepted.is_open());
    for (const int descriptor : {listener.descriptor(), accepted.number()}) {
      CHECK((fcntl(descriptor, F_GETFD) & FD_CLOEXEC) != 0);
      CHECK((fcntl(descriptor, F_GETFL) & O_NONBLOCK) != 0);
    }
  }
}

TEST_CASE("a socket's file is its owner's alone, and goes with the listener") {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "socket";
  {
    const HttpListener listener(at(file));
    CHECK(listener.url() == "unix:" + file.string());
    struct stat status {};
    REQUIRE(lstat(file.c_str(), &status) == 0);
    CHECK(S_ISSOCK(status.st_mode));
    CHECK((status.st_mode & 0777) == 0600);
    const Client client(listener.url());
  }
  CHECK_FALSE(fs::exists(fs::symlink_status(file)));
}

TEST_CASE("a socket that nobody listens on is replaced") {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "socket";
  {
    const Descriptor old = Client::make_socket(AF_UNIX);
    sockaddr_un address{AF_UNIX, {}};
    file.string().copy(address.sun_path, sizeof address.sun_path - 1);
    REQUIRE(bind(old.number(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  }
  REQUIRE(fs::is_socket(file));
  const HttpListener listener(at(file));
  const Client client(listener.url());
}

TEST_CASE("a socket that somebody listens on is left to him") {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "socket";
  const HttpListener first(at(file));
  CHECK(contains(complaint(at(file)), "another process listens there"));
  const Client client(first.url());
  CHECK(first.accept().is_open());  // ours that was tried
  CHECK(first.accept().is_open());
}

TEST_CASE("anything else in the way is refused and kept") {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "file";
  std::ofstream(file) << "precious";
  fs::create_directory(folder.path() / "folder");
  fs::create_symlink(folder.path() / "nowhere", folder.path() / "link");
  for (const char* name : {"file", "folder", "link"}) {
    const std::string message = complaint(at(folder.path() / name));
    CHECK(contains(message, (folder.path() / name).string()));
    CHECK(contains(message, "not a socket"));
    CHECK(fs::exists(fs::symlink_status(folder.path() / name)));
  }
  CHECK(fs::file_size(file) == 8);
}

TEST_CASE("a file that took the socket's place is not removed") {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "socket";
  {
    const HttpListener listener(at(file));
    fs::rename(file, folder.path() / "elsewhere");  // so that its inode is not free for the next
    std::ofstream(file) << "other";
  }
  CHECK(fs::file_size(file) == 5);
}

TEST_CASE("a path that no socket can have is an error that says how long it may be") {
  const TemporaryFolder folder;
  const fs::path longest = folder.path() / std::string(107 - folder.path().string().size() - 1, 'x');
  CHECK(complaint(at(longest)).empty());
  const std::string message = complaint(at(longest.string() + "x"));
  CHECK(contains(message, "107 bytes"));
  CHECK(contains(complaint(at(folder.path() / "no" / "such")), "No such file"));
}

}  // namespace
}  // namespace leakwatch
