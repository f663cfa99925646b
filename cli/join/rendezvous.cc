// SPDX-License-Identifier: Apache-2.0
//
// See the header. A caller gets one second for each of its messages; a hostile one can waste that much and no more.

#include "cli/join/rendezvous.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "cli/base/error.h"
#include "proto/handshake.h"

namespace leakwatch {

namespace {

constexpr int kPatienceMilliseconds = 1000;

bool sees_all_users() {
  return geteuid() == 0;
}

// The path must fit a socket address, and the target must be able to walk to it, also as another user if we are to see
// that.
SharedFolder make_folder() {
  constexpr std::size_t kRest = 32;  // of the path
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  const bool can_be_used = runtime != nullptr && runtime[0] == '/' && std::strpbrk(runtime, " :") == nullptr &&
                           std::strlen(runtime) + kRest < sizeof(sockaddr_un::sun_path);  // " :": see plain_path
  for (const std::string parent : {can_be_used && !sees_all_users() ? runtime : "/tmp", "/tmp"}) {
    const Descriptor folder(open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (folder.is_open() && (faccessat(folder.number(), ".", W_OK, AT_EACCESS) == 0 || parent == "/tmp"))
      return {folder.number(), parent, !sees_all_users()};
  }
  throw Error(fmt::format("there is no /tmp for the socket: {}", std::strerror(errno)));
}

template <class Message>
bool receive(int socket, Message& message) {
  pollfd one{socket, POLLIN, 0};
  return poll(&one, 1, kPatienceMilliseconds) == 1 &&
         recv(socket, &message, sizeof message, MSG_DONTWAIT) == sizeof message && message.magic == handshake::kMagic;
}

bool send_welcome(int socket, const handshake::Welcome& welcome, int memory) {
  iovec bytes{const_cast<handshake::Welcome*>(&welcome), sizeof welcome};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  if (memory >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof memory);
    std::memcpy(CMSG_DATA(head), &memory, sizeof memory);
  }
  return sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof welcome;
}

}  // namespace

Rendezvous::Rendezvous() : Rendezvous(make_folder()) {}

// Who may pass the folder may connect; who calls is looked at there.
Rendezvous::Rendezvous(SharedFolder folder)
    : folder_(std::move(folder)),
      path_(folder_.path() + "/socket"),
      listener_(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
  const std::string own_path = folder_.own_path() + "/socket";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, own_path.c_str(), std::min(own_path.size() + 1, sizeof address.sun_path - 1));
  if (!listener_.is_open() || bind(listener_.number(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      listen(listener_.number(), 128) != 0 || chmod(own_path.c_str(), 0666) != 0)
    throw Error(fmt::format("cannot listen on {}: {}", path_, std::strerror(errno)));
}

std::string Rendezvous::plain_path(const std::string& file) {
  if (file.find_first_of(" :") == std::string::npos) return file;
  const std::string name = file.substr(file.rfind('/')), link = folder_.own_path() + name;
  if (symlink(file.c_str(), link.c_str()) != 0)
    throw Error(fmt::format("cannot link {} in {}: {}", file, folder_.path(), std::strerror(errno)));
  return folder_.path() + name;
}

std::optional<Rendezvous::Guest> Rendezvous::accept(pid_t wanted, const RegionSettings& settings) {
  const Descriptor caller(accept4(listener_.number(), nullptr, nullptr, SOCK_CLOEXEC));
  ucred credentials{};
  socklen_t size = sizeof credentials;
  handshake::Hello hello{};
  if (!caller.is_open() || getsockopt(caller.number(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0 ||
      (credentials.uid != geteuid() && !sees_all_users()) || !receive(caller.number(), hello))
    return std::nullopt;
  handshake::Welcome welcome{handshake::kMagic, handshake::kVersion, 0, 0};
  const bool same_version = hello.version == handshake::kVersion && hello.shared_memory_version == shared::kVersion;
  if (credentials.pid != wanted || !same_version) {
    welcome.answer = static_cast<std::uint32_t>(handshake::Answer::kIgnore);
    send_welcome(caller.number(), welcome, -1);
    return std::nullopt;
  }
  welcome.answer = static_cast<std::uint32_t>(handshake::Answer::kWatch);
  Guest guest{std::make_unique<SharedRegion>(settings), read_process_facts(credentials.pid), {}};
  guest.facts.shares_pid_namespace = hello.pid == static_cast<std::uint32_t>(credentials.pid);
  handshake::Ready ready{};
  if (!send_welcome(caller.number(), welcome, guest.region->descriptor()) || !receive(caller.number(), ready))
    guest.error = "it did not finish the handshake";
  else if (ready.mapped == 0)
    guest.error = "it could not map the shared memory; an address space limit (ulimit -v) may be in the way";
  guest.region->close_descriptor();
  return guest;
}

}  // namespace leakwatch
