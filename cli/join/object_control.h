// SPDX-License-Identifier: Apache-2.0
//
// Our object in a process that already runs, whichever way it is reached: a thread is sent into it (attached_object.h),
// or it sleeps there and is called (sleeping_object.h).
#pragma once

#include <chrono>
#include <string>

namespace leakwatch {

class ObjectControl {
 public:
  ObjectControl() = default;
  virtual ~ObjectControl() = default;
  ObjectControl(const ObjectControl&) = delete;
  ObjectControl& operator=(const ObjectControl&) = delete;

  // Has the process load the object unless it has it already. Throws Error.
  virtual void load() = 0;

  // Has the process attach to the leakwatch at `socket`. Returns before it has. Throws Error.
  virtual void begin(const std::string& socket) = 0;
  // Why that has failed, as a sentence. Empty while it is under way, and when it went well.
  virtual std::string failure() = 0;
  // Whether that is still under way; waits for at most `patience`. Once it is over without a failure, all is recorded.
  virtual bool is_beginning(std::chrono::milliseconds patience) = 0;

  // To be called every second or so, until the end.
  virtual void tend() = 0;

  // Has the process put everything back. A sentence when it could not; else empty.
  virtual std::string end() = 0;
};

}  // namespace leakwatch
