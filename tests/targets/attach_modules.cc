// SPDX-License-Identifier: Apache-2.0
//
// attach_modules OBJECT FIRST SECOND COPY ROUNDS: while it is attached, libraries come and go, which lie at the same
// place; what they allocate counts from the next look on; COPY (of FIRST) stays. After detaching, a library that was
// patched and one that never was go on as if nothing had been.

#include "tests/targets/attach_self.h"

namespace {

class Library {
 public:
  explicit Library(const char* path) : handle_(dlopen(path, RTLD_NOW | RTLD_LOCAL)) {
    require(handle_ != nullptr, path);
    allocate = reinterpret_cast<void* (*)()>(dlsym(handle_, "allocate"));
  }
  ~Library() { require(dlclose(handle_) == 0, "dlclose"); }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
  void* (*allocate)();

 private:
  void* handle_;
};

void use(const AttachSelf& self, const char* path, Truth& truth, bool keep) {
  require(self.look_again() == AttachSelf::Outcome::kDone, "a look");
  const std::uint32_t without = self.state().slots_patched;
  const Library library(path);
  require(self.look_again() == AttachSelf::Outcome::kDone, "a second look");
  require(self.state().slots_patched > without && self.state().modules_unready == 0, "the library's slots");
  void* block = library.allocate();
  truth.allocated(300);
  if (keep) return;
  free(block);
  truth.freed(300);
}

}  // namespace

int main(int, char** argv) {
  const AttachSelf self(argv[1]);
  Truth first, second;
  Library stays(argv[4]);
  self.must_attach();
  free(stays.allocate());
  first.allocated(300), first.freed(300);
  for (int i = 0; i < std::atoi(argv[5]); ++i) {
    use(self, argv[2], first, i % 2 == 0);
    use(self, argv[3], second, i % 2 == 0);
  }
  {
    // Patched, and gone before anybody looked again.
    Library gone(argv[3]);
    self.look_again();
  }
  Library late(argv[3]);
  self.must_detach();
  free(stays.allocate());
  free(late.allocate());
  tell("twin_first", first), tell("twin_second", second);
}
