// SPDX-License-Identifier: Apache-2.0
//
// A program that loads our object itself and attaches itself: all that an attach is, but for the way in. The path of
// the object is the first argument, and the tool attach-listener answers at the socket.
#pragma once

#include <dlfcn.h>

#include <cstdlib>

#include "proto/attach_state.h"
#include "tests/targets/truth.h"

class AttachSelf {
 public:
  explicit AttachSelf(const char* object) {
    void* loaded = dlopen(object, RTLD_NOW | RTLD_LOCAL);
    require(loaded != nullptr, "dlopen of the object");
    attach_ = reinterpret_cast<int (*)(const char*)>(dlsym(loaded, leakwatch::attach::kAttachFunction));
    detach_ = reinterpret_cast<int (*)()>(dlsym(loaded, leakwatch::attach::kDetachFunction));
    state_ = static_cast<leakwatch::attach::State*>(dlsym(loaded, leakwatch::attach::kStateName));
    require(attach_ != nullptr && detach_ != nullptr && state_ != nullptr, "exports of the object");
    require(state_->magic == leakwatch::attach::kMagic, "magic");
  }

  using Outcome = leakwatch::attach::Outcome;
  Outcome attach(const char* socket = std::getenv("ATTACH_SOCKET")) const {
    return static_cast<Outcome>(attach_(socket));
  }
  Outcome look_again() const { return attach(nullptr); }
  Outcome detach() const { return static_cast<Outcome>(detach_()); }
  const leakwatch::attach::State& state() const { return *state_; }

  void must_attach() const {
    Outcome outcome = attach();
    for (int i = 0; i < 1000 && outcome == Outcome::kBusy; ++i) outcome = attach();  // a fork was on its way
    if (outcome != Outcome::kDone) say("attach: outcome %d", static_cast<int>(outcome));
    require(outcome == Outcome::kDone, "attach");
  }
  // A thread that is inside a hook may need a moment to leave it.
  void must_detach() const {
    Outcome outcome = detach();
    for (int i = 0; i < 1000 && (outcome == Outcome::kHooksInFlight || outcome == Outcome::kBusy); ++i)
      outcome = detach();
    if (outcome != Outcome::kDone) say("detach: outcome %d", static_cast<int>(outcome));
    require(outcome == Outcome::kDone, "detach");
  }

 private:
  int (*attach_)(const char*);
  int (*detach_)();
  leakwatch::attach::State* state_;
};
