// SPDX-License-Identifier: Apache-2.0
//
// The service's pages, rendered from a template for each request: many allocations, all of them freed.
#pragma once

#include <string>

namespace service {

std::string render_page(const std::string& user);

}  // namespace service
