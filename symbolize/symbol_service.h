// SPDX-License-Identifier: Apache-2.0
//
// The symbolizer on a thread of its own, with a memory: each address is looked up once per module, so that a snapshot
// of a program that has already been seen costs no symbol work.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "symbolize/module.h"
#include "symbolize/symbolizer.h"

namespace leakwatch {

// Thread-safe. A module is identified by path, build id and, when it has neither a path nor a build id, its segments;
// its bias may differ from call to call, as two processes map one file at two places.
class SymbolService {
 public:
  explicit SymbolService(SymbolizerOptions options = {});
  ~SymbolService();  // drops what is still queued
  SymbolService(const SymbolService&) = delete;
  SymbolService& operator=(const SymbolService&) = delete;

  // Starts looking addresses (in the file's own address space) up in the background. Returns at once.
  void prefetch(const Module& module, const std::vector<std::uint64_t>& addresses);

  // The frames at `address`, waiting for the worker if they are not known yet. The reference stays valid for the life
  // of the service.
  const std::vector<Frame>& frames(const Module& module, std::uint64_t address);

  SymbolSource source(const Module& module);

  // Addresses that the worker has really looked up, for the benchmark table and the test of "no symbol work".
  std::uint64_t lookups() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace leakwatch
