// SPDX-License-Identifier: Apache-2.0
//
// The socket that clients connect to. Plain system calls, so that every mistake of an address gets words of its own,
// and no descriptor reaches the program that is started next.
#pragma once

#include <sys/types.h>

#include <string>

#include "cli/base/descriptor.h"
#include "cli/http/http_address.h"

namespace leakwatch {

class HttpListener {
 public:
  // Binds and listens. Throws Error that says what to do.
  explicit HttpListener(const HttpAddress& address);
  ~HttpListener();  // removes a unix socket's file if it is still ours
  HttpListener(const HttpListener&) = delete;
  HttpListener& operator=(const HttpListener&) = delete;

  // As HttpServer::url.
  const std::string& url() const { return url_; }
  int family() const { return family_; }  // AF_INET, AF_INET6, AF_UNIX
  int descriptor() const { return socket_.number(); }

  // Of the client that waits longest, non-blocking. Not open when there is none; errno says why.
  Descriptor accept() const;

 private:
  void listen_at_path(const std::string& path);
  void listen_at_port(const HttpAddress& address);

  Descriptor socket_;
  int family_ = 0;
  std::string url_;
  std::string path_;  // empty: no file of ours
  dev_t device_ = 0;  // of the file at path_
  ino_t inode_ = 0;
};

}  // namespace leakwatch
