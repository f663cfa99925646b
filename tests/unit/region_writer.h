// SPDX-License-Identifier: Apache-2.0
//
// The target's side of a shared region, for tests: writes words, stacks and modules where the header says that they
// lie, good ones and bad ones.
#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "cli/drain/shared_region.h"

namespace leakwatch {

class RegionWriter {
 public:
  explicit RegionWriter(SharedRegion& region) : region_(region), base_(reinterpret_cast<char*>(&region.header())) {}

  std::uint64_t* ring_words(std::uint32_t ring) {
    return at<std::uint64_t>(header().words_offset) + ring * header().ring_words;
  }
  std::uint64_t* stack_area() { return at<std::uint64_t>(header().stacks_offset); }
  char* module_area() { return at<char>(header().modules_offset); }

  // Publishes words that fit the ring.
  void write(std::uint32_t ring, const std::vector<std::uint64_t>& words) {
    if (header().rings_used < ring + 1) header().rings_used = ring + 1;
    const std::uint64_t position = region_.ring(ring).write_position.load(std::memory_order_relaxed);
    for (std::size_t i = 0; i < words.size(); ++i)
      ring_words(ring)[(position + i) & (header().ring_words - 1)] = words[i];
    region_.ring(ring).write_position.store(position + words.size(), std::memory_order_release);
  }

  void write_stack(std::uint64_t offset, std::uint64_t epoch, const std::vector<std::uint64_t>& addresses) {
    const shared::StackHeader head{static_cast<std::uint32_t>(addresses.size()), 0, epoch};
    std::memcpy(stack_area() + offset, &head, sizeof head);
    std::copy(addresses.begin(), addresses.end(), stack_area() + offset + shared::kStackHeaderWords);
  }

  // Appends a record as it is and `path` after it, padded, and publishes both.
  void write_module(const shared::ModuleRecord& record, const std::string& path) {
    std::uint64_t used = header().modules_used;
    std::memcpy(module_area() + used, &record, sizeof record);
    std::memcpy(module_area() + used + sizeof record, path.data(), path.size());
    used += sizeof record + ((path.size() + 7) & ~std::size_t{7});
    header().modules_used.store(used, std::memory_order_release);
  }

 private:
  template <class T>
  T* at(std::uint64_t offset) {
    return reinterpret_cast<T*>(base_ + offset);
  }
  shared::Header& header() { return region_.header(); }

  SharedRegion& region_;
  char* base_;
};

}  // namespace leakwatch
