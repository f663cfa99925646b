// SPDX-License-Identifier: Apache-2.0
//
// The stacks of a snapshot, by number. They are most of its size, and one snapshot has nearly all of those of the one
// before: a stack in a list never changes, and any number of lists hold it together.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <utility>
#include <vector>

namespace leakwatch {

// One address of a stack. `address` is the run-time address of the call (one less than the return address) or of the
// interrupted instruction. `module` indexes Snapshot::modules; kNoModule for code outside every file (JIT), and
// kMarkFrame for a frame that we put in ourselves, where `address` is a shared::Mark.
struct CodeAddress {
  static constexpr std::uint32_t kNoModule = 0xffffffff;
  static constexpr std::uint32_t kMarkFrame = 0xfffffffe;
  std::uint64_t address = 0;
  std::uint32_t module = kNoModule;
  friend bool operator==(const CodeAddress&, const CodeAddress&) = default;
};

using StackTrace = std::vector<CodeAddress>;  // leaf first
using SharedStack = std::shared_ptr<const StackTrace>;

class StackList {
 public:
  StackList() = default;
  StackList(std::initializer_list<StackTrace> stacks) {
    for (const StackTrace& stack : stacks) push_back(stack);
  }

  void push_back(StackTrace stack) { share(std::make_shared<const StackTrace>(std::move(stack))); }
  void share(SharedStack stack) { stacks_.push_back(std::move(stack)); }  // not null

  std::size_t size() const { return stacks_.size(); }
  const StackTrace& operator[](std::size_t index) const { return *stacks_[index]; }
  const StackTrace& at(std::size_t index) const { return *stacks_.at(index); }

 private:
  std::vector<SharedStack> stacks_;
};

}  // namespace leakwatch
