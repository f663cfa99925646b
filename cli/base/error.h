// SPDX-License-Identifier: Apache-2.0
//
// The one exception of the CLI: something that the user can mend. Its text says what is wrong and what to do next; main
// catches it, prints it and leaves with `status`.
#pragma once

#include <stdexcept>
#include <string>

namespace leakwatch {

class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message, int status = 125) : std::runtime_error(message), status_(status) {}
  int status() const { return status_; }

 private:
  int status_;  // 125: leakwatch itself failed; 126: the command cannot be executed; 127: not found (as env(1) has
                // them)
};

}  // namespace leakwatch
