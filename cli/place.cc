// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "cli/place.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

namespace leakwatch {

namespace {

bool is_in_module(const CodeAddress& address) {
  return address.module < CodeAddress::kMarkFrame;
}

bool starts_with_any(std::string_view text, const auto& beginnings) {
  return std::any_of(beginnings.begin(), beginnings.end(),
                     [text](std::string_view each) { return text.starts_with(each); });
}

bool is_system_path(std::string_view path) {
  constexpr std::array<std::string_view, 11> kSystem{"/lib/",         "/lib32/",     "/lib64/",     "/libx32/",
                                                     "/usr/lib/",     "/usr/lib32/", "/usr/lib64/", "/usr/libx32/",
                                                     "/usr/libexec/", "[",           "linux-vdso"};
  return starts_with_any(path, kSystem);
}

std::size_t end_of_brackets(std::string_view text, std::size_t open) {
  int depth = 0;
  for (std::size_t i = open; i < text.size(); ++i) {
    if (std::string_view("<([{").find(text[i]) != std::string_view::npos) ++depth;
    if (std::string_view(">)]}").find(text[i]) != std::string_view::npos && --depth == 0) return i;
  }
  return text.size();
}

bool is_word(std::string_view text, std::size_t position, std::string_view word) {
  const auto is_letter = [](char byte) { return std::isalnum(static_cast<unsigned char>(byte)) != 0 || byte == '_'; };
  return text.substr(position).starts_with(word) && (position == 0 || !is_letter(text[position - 1]));
}

// "std::vector<int> app::list<int>(int)" begins with what it returns, as all templates do when they are demangled; this
// is the part from "app" on.
std::string_view without_return_type(std::string_view function) {
  std::size_t name = 0;
  for (std::size_t i = 0; i < function.size(); ++i) {
    if (is_word(function, i, "operator")) break;
    const bool opens_parameters = function[i] == '(' && i > name && !function.substr(i).starts_with("(anonymous");
    if (opens_parameters || function.substr(i).starts_with(" [")) break;
    if (std::string_view("<([{").find(function[i]) != std::string_view::npos) {
      i = end_of_brackets(function, i);
    } else if (function[i] == ' ') {
      name = i + 1;
    }
  }
  return function.substr(name);
}

// Code that only passes the program's wish on: the C++ and Rust libraries, also where they were inlined.
bool is_library_internal(const Frame& frame) {
  constexpr std::array<std::string_view, 3> kNames{"std::", "__gnu_cxx::", "operator new"};
  constexpr std::array<std::string_view, 2> kSources{"/usr/include/c++/", "/rustc/"};
  return starts_with_any(without_return_type(frame.function), kNames) || starts_with_any(frame.file, kSources);
}

}  // namespace

Place PlaceFinder::find(const StackTrace& stack) const {
  for (const CodeAddress& address : stack) {
    if (!is_own(address)) continue;
    for (const Frame& frame : frames(address)) {
      if (!is_library_internal(frame)) return place(address, frame);
    }
  }
  return leaf(stack);
}

bool PlaceFinder::is_own(const CodeAddress& address) const {
  if (!is_in_module(address)) return false;
  return address.module == 0 || !is_system_path(module(address).path);
}

const std::vector<Frame>& PlaceFinder::frames(const CodeAddress& address) const {
  return symbols_.frames(module(address), in_file(address));
}

Place PlaceFinder::place(const CodeAddress& address, const Frame& frame) const {
  const std::string offset = name_by_offset(module(address), in_file(address));
  if (frame.file.empty()) return {frame.function, offset, offset};
  const std::string line = frame.line > 0 ? fmt::format(":{}", frame.line) : "";
  return {frame.function, frame.file + line, frame.file.substr(frame.file.rfind('/') + 1) + line};
}

Place PlaceFinder::leaf(const StackTrace& stack) const {
  if (stack.empty()) return {std::string(kStackNotRecorded), {}, {}};
  const CodeAddress& address = stack.front();
  if (!is_in_module(address)) return {std::string(name_without_module(address)), {}, {}};
  const std::vector<Frame>& leaf_frames = frames(address);
  return place(address, leaf_frames.empty() ? Frame{} : leaf_frames.front());
}

std::string without_parameters(std::string_view function) {
  const std::size_t end = function.rfind(')');
  if (end == std::string_view::npos || end + sizeof " const" < function.size()) return std::string(function);
  int depth = 0;
  for (std::size_t i = end + 1; i-- > 0;) {
    if (function[i] == ')') ++depth;
    if (function[i] != '(' || --depth != 0) continue;
    const std::string_view rest = function.substr(0, i);
    return rest.empty() || rest.ends_with("operator") || rest.ends_with("::") ? std::string(function)
                                                                              : std::string(rest);
  }
  return std::string(function);
}

}  // namespace leakwatch
