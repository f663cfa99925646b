// SPDX-License-Identifier: Apache-2.0
//
// service [PORT]: a small HTTP service on 127.0.0.1 that leaks as services do: sessions that nobody evicts, threads
// that wait for ever. Says where it listens, and ends on SIGTERM or SIGINT.

#include <pthread.h>
#include <signal.h>

#include <charconv>
#include <cstdio>
#include <cstring>
#include <exception>

#include "server.h"

int main(int argc, char** argv) try {
  std::uint16_t port = 0;
  if (argc > 1 && std::from_chars(argv[1], argv[1] + std::strlen(argv[1]), port).ec != std::errc()) {
    std::fprintf(stderr, "usage: service [PORT]\n");
    return 2;
  }
  sigset_t ending;
  sigemptyset(&ending);
  sigaddset(&ending, SIGTERM);
  sigaddset(&ending, SIGINT);
  pthread_sigmask(SIG_BLOCK, &ending, nullptr);  // in all threads: this one waits for them below
  // Not destroyed: threads that wait for ever outlive main, and the process's end takes care of memory.
  service::Server& server = *new service::Server(port);
  std::printf("listening on 127.0.0.1:%d\n", server.port());
  std::fflush(stdout);
  int signal = 0;
  sigwait(&ending, &signal);
  server.stop();
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "service: %s\n", error.what());
  return 1;
}
