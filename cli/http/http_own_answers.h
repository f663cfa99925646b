// SPDX-License-Identifier: Apache-2.0
//
// What is said by whoever knows nothing of what is served.
#pragma once

#include <string_view>

#include "cli/http/http_message.h"

namespace leakwatch {

HttpResponse plain_answer(int status, std::string_view text);  // one line, without its end
HttpResponse busy_answer(std::string_view text);               // 503, and when to come again
HttpResponse internal_error_answer();                          // 500, without details
// 301, in Go's words.
HttpResponse moved_answer(std::string_view location);

}  // namespace leakwatch
