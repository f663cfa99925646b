// SPDX-License-Identifier: Apache-2.0

#include "cli/http_own_answers.h"

#include <fmt/format.h>

namespace leakwatch {

HttpResponse plain_answer(int status, std::string_view text) {
  return {status,
          {{"Content-Type", "text/plain; charset=utf-8"}, {"X-Content-Type-Options", "nosniff"}},
          fmt::format("{}\n", text)};
}

HttpResponse busy_answer(std::string_view text) {
  HttpResponse response = plain_answer(503, text);
  response.headers.emplace_back("Retry-After", "1");
  return response;
}

HttpResponse internal_error_answer() {
  return plain_answer(500, "internal error");
}

}  // namespace leakwatch
