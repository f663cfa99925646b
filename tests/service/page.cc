// SPDX-License-Identifier: Apache-2.0

#include "page.h"

#include <utility>
#include <vector>

namespace service {

namespace {

constexpr int kRows = 200;

using Values = std::vector<std::pair<std::string, std::string>>;

// Each {name} of the template becomes its value.
std::string fill(std::string text, const Values& values) {
  for (const auto& [name, value] : values) {
    const std::string mark = "{" + name + "}";
    for (std::size_t at = text.find(mark); at != std::string::npos; at = text.find(mark, at + value.size()))
      text.replace(at, mark.size(), value);
  }
  return text;
}

}  // namespace

std::string render_page(const std::string& user) {
  std::string rows;
  for (int i = 1; i <= kRows; ++i)
    rows += fill("<tr><td>{number}</td><td>An article that {user} may like</td></tr>\n",
                 {{"number", std::to_string(i)}, {"user", user}});
  return fill("<!doctype html><title>For {user}</title>\n<table>\n{rows}</table>\n", {{"user", user}, {"rows", rows}});
}

}  // namespace service
