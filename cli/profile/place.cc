// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "cli/profile/place.h"

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

// Where the bracket at `open` is closed. A '>' between round brackets is an operator, and one of "->" never closes any.
std::size_t end_of_brackets(std::string_view text, std::size_t open) {
  std::string awaited;
  for (std::size_t i = open; i < text.size(); ++i) {
    const std::size_t kind = std::string_view("<([{").find(text[i]);
    if (kind != std::string_view::npos) {
      awaited += ">)]}"[kind];
    } else if (text[i] == '>') {
      if (awaited.back() == '>' && text[i - 1] != '-') awaited.pop_back();
    } else if (std::string_view(")]}").find(text[i]) != std::string_view::npos) {
      awaited.erase(std::min(awaited.rfind(text[i]), awaited.size()));
    }
    if (awaited.empty()) return i;
  }
  return text.size();
}

// Where the round bracket is opened that the last character closes; npos when that is none.
std::size_t start_of_last_round(std::string_view text) {
  if (!text.ends_with(')')) return std::string_view::npos;
  int depth = 0;
  for (std::size_t i = text.size(); i-- > 0;) {
    if (text[i] == ')') ++depth;
    if (text[i] == '(' && --depth == 0) return i;
  }
  return std::string_view::npos;
}

bool is_letter(char byte) {
  return std::isalnum(static_cast<unsigned char>(byte)) != 0 || byte == '_';
}

bool is_word(std::string_view text, std::size_t position, std::string_view word) {
  const std::size_t end = position + word.size();
  return text.substr(position).starts_with(word) && (position == 0 || !is_letter(text[position - 1])) &&
         (end >= text.size() || !is_letter(text[end]));
}

bool opens_parameters(std::string_view function, std::size_t i) {
  return function[i] == '(' && !function.substr(i).starts_with("(anonymous") &&
         !function.substr(0, i).ends_with("decltype");
}

// "std::vector<int> app::list<int>(int)" begins with what it returns, as all templates do when they are demangled; this
// is the part from "app" on.
std::string_view without_return_type(std::string_view function) {
  std::size_t name = 0;
  for (std::size_t i = 0; i < function.size(); ++i) {
    if (is_word(function, i, "operator")) break;
    if ((i > name && opens_parameters(function, i)) || function.substr(i).starts_with(" [")) break;
    if (std::string_view("<([{").find(function[i]) != std::string_view::npos) {
      i = end_of_brackets(function, i);
    } else if (function[i] == ' ') {
      name = i + 1;
    }
  }
  return function.substr(name);
}

std::string_view without_qualifiers(std::string_view function) {
  constexpr std::array<std::string_view, 4> kQualifiers{" const", " volatile", " &&", " &"};
  for (bool is_found = true; is_found;) {
    is_found = false;
    for (const std::string_view qualifier : kQualifiers) {
      if (!function.ends_with(qualifier)) continue;
      function.remove_suffix(qualifier.size());
      is_found = true;
    }
  }
  return function;
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

std::string without_signature(std::string_view function) {
  constexpr std::string_view kClone = " [clone ";  // a part that the compiler has split off
  const std::size_t clone = std::min(function.find(kClone), function.size());
  const std::string_view declaration = without_qualifiers(function.substr(0, clone));
  const std::size_t open = start_of_last_round(declaration);
  if (open == std::string_view::npos) return std::string(function);
  const std::string_view rest = declaration.substr(0, open);
  if (rest.empty() || rest.ends_with("operator") || rest.ends_with("::")) return std::string(function);
  // "int (*app::choose<int>(int))(char)" returns a pointer to a function.
  const std::size_t inner = start_of_last_round(rest);
  if (inner != std::string_view::npos &&
      (rest.substr(inner).starts_with("(*") || rest.substr(inner).starts_with("(&"))) {
    const std::string_view declared = rest.substr(inner + 2, rest.size() - inner - 3);
    return declared.empty() ? std::string(function) : without_signature(declared);
  }
  return std::string(without_return_type(rest)) + std::string(function.substr(clone));
}

}  // namespace leakwatch
