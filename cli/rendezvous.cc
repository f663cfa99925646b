// SPDX-License-Identifier: Apache-2.0
//
// See the header. A caller gets one second for each of its messages; a hostile one can waste that much and no more.

#include "cli/rendezvous.h"

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

#include "cli/descriptor.h"
#include "cli/error.h"
#include "proto/handshake.h"

namespace leakwatch {

namespace {

constexpr int kPatienceMilliseconds = 1000;

// The path must fit a socket address, and the target must be able to walk to it.
std::string make_folder() {
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  if (runtime != nullptr && std::strpbrk(runtime, " :") != nullptr) runtime = nullptr;  // see plain_path
  for (const std::string parent : {runtime != nullptr && runtime[0] == '/' ? runtime : "/tmp", "/tmp"}) {
    std::string folder = parent + "/leakwatch-XXXXXX";
    if (folder.size() + 8 < sizeof(sockaddr_un::sun_path) && mkdtemp(folder.data()) != nullptr) return folder;
  }
  throw Error(fmt::format("cannot make a private folder in /tmp for the socket: {}", std::strerror(errno)));
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

Rendezvous::Rendezvous() : folder_(make_folder()), path_(folder_ + "/socket") {
  listen_at(path_);
}

Rendezvous::Rendezvous(SharedFolder folder)
    : shared_folder_(std::move(folder)), path_(shared_folder_->path() + "/socket") {
  const std::string own_path = shared_folder_->own_path() + "/socket";
  listen_at(own_path);
  // Who may pass the folder may connect; who calls is looked at there.
  if (chmod(own_path.c_str(), 0666) != 0)
    throw Error(fmt::format("cannot open {} to the process: {}", path_, std::strerror(errno)));
}

void Rendezvous::listen_at(const std::string& own_path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, own_path.c_str(), std::min(own_path.size() + 1, sizeof address.sun_path - 1));
  listener_ = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (listener_ < 0 || bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      listen(listener_, 128) != 0)
    throw Error(fmt::format("cannot listen on {}: {}", path_, std::strerror(errno)));
}

Rendezvous::~Rendezvous() {
  if (listener_ >= 0) close(listener_);
  if (folder_.empty()) return;
  unlink(path_.c_str());
  if (!link_.empty()) unlink(link_.c_str());
  rmdir(folder_.c_str());
}

std::string Rendezvous::plain_path(const std::string& file) {
  if (file.find_first_of(" :") == std::string::npos) return file;
  link_ = folder_ + file.substr(file.rfind('/'));
  if (symlink(file.c_str(), link_.c_str()) != 0)
    throw Error(fmt::format("cannot link {} in {}: {}", file, folder_, std::strerror(errno)));
  return link_;
}

std::optional<Rendezvous::Guest> Rendezvous::accept(pid_t wanted, const RegionSettings& settings) {
  const Descriptor caller(accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC));
  ucred credentials{};
  socklen_t size = sizeof credentials;
  handshake::Hello hello{};
  if (!caller.is_open() || getsockopt(caller.number(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0 ||
      (credentials.uid != geteuid() && geteuid() != 0) || !receive(caller.number(), hello))
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
