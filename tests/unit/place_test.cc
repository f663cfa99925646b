// SPDX-License-Identifier: Apache-2.0
//
// Names of functions as tables show them. What whole stacks are shown as is in report_test.cc.
#include "cli/profile/place.h"

#include <string>
#include <utility>
#include <vector>

#include "symbolize/symbolizer.h"
#include "tests/unit/catch.h"

namespace leakwatch {
namespace {

TEST_CASE("a function is shown without its parameters and what it returns") {
  const std::vector<std::pair<const char*, const char*>> table = {
      {"app::run(int)", "app::run"},
      {"app::run()", "app::run"},
      {"app::Node::size() const", "app::Node::size"},
      {"app::Node::take() const volatile &", "app::Node::take"},
      {"app::Node::take(int) &&", "app::Node::take"},
      {"run(std::function<void (int)>)", "run"},
      {"run(void (*)(int), int (&) [3])", "run"},
      {"app::text[abi:cxx11](int)", "app::text[abi:cxx11]"},
      {"app::run(int) [clone .cold]", "app::run [clone .cold]"},
      {"app::run(int) const [clone .isra.0] [clone .cold]", "app::run [clone .isra.0] [clone .cold]"},
      {"(anonymous namespace)::run(int)", "(anonymous namespace)::run"},
      {"app::(anonymous namespace)::run(int)", "app::(anonymous namespace)::run"},
      // Templates.
      {"void app::remember<int>(int)", "app::remember<int>"},
      {"void app::remember<int, std::vector<int, std::allocator<int> > >(int)",
       "app::remember<int, std::vector<int, std::allocator<int> > >"},
      {"unsigned long app::count<char>(char const*)", "app::count<char>"},
      {"std::pair<int, char const*>& app::get<int>()", "app::get<int>"},
      {"std::enable_if<((1)>(2)), int>::type app::run<int>(int)", "app::run<int>"},
      {"decltype(auto) app::run<int>(int)", "app::run<int>"},
      {"decltype ((fp)(1)) app::run<int>(int)", "app::run<int>"},
      {"void (anonymous namespace)::run<int>(int)", "(anonymous namespace)::run<int>"},
      {"void app::run<&app::Node::operator->>(int)", "app::run<&app::Node::operator->>"},
      // Functions as values.
      {"int (*app::choose<int>(int))(char)", "app::choose<int>"},
      {"void (&app::choose<int>(int))(void (*)(int))", "app::choose<int>"},
      {"void app::call<void (*)(int)>(void (*)(int))", "app::call<void (*)(int)>"},
      {"std::function<void (int)> app::make<int>(int)", "app::make<int>"},
      // Operators.
      {"operator new(unsigned long)", "operator new"},
      {"operator new[](unsigned long, std::align_val_t)", "operator new[]"},
      {"app::Node::operator()(int) const", "app::Node::operator()"},
      {"app::Node::operator()() const", "app::Node::operator()"},
      {"void app::Node::operator()<int>(int) const", "app::Node::operator()<int>"},
      {"app::Node::operator std::string() const", "app::Node::operator std::string"},
      {"app::Node::operator void (*)(int)() const", "app::Node::operator void (*)(int)"},
      {"app::Node::operator->() const", "app::Node::operator->"},
      {"std::ostream& app::operator<< <char>(std::ostream&, app::X)", "app::operator<< <char>"},
      {"bool app::operator< <int>(app::X, app::X)", "app::operator< <int>"},
      {"app::operator\"\" _kb(unsigned long long)", "app::operator\"\" _kb"},
      {"void app::operators::run<int>(int)", "app::operators::run<int>"},
      // Lambdas and what is local to a function.
      {"app::run()::{lambda(int)#1}::operator()(int) const", "app::run()::{lambda(int)#1}::operator()"},
      {"auto app::run(int)::{lambda(auto:1)#1}::operator()<int>(int) const",
       "app::run(int)::{lambda(auto:1)#1}::operator()<int>"},
      {"void std::condition_variable::wait<app::waiter_cv()::{lambda()#1}>(std::unique_lock<std::mutex>&, "
       "app::waiter_cv()::{lambda()#1})",
       "std::condition_variable::wait<app::waiter_cv()::{lambda()#1}>"},
      {"void std::__invoke_impl<void, app::run(int)::{lambda()#1}>(std::__invoke_other, app::run(int)::{lambda()#1}&&)",
       "std::__invoke_impl<void, app::run(int)::{lambda()#1}>"},
      // Rust.
      {"core::ptr::drop_in_place<alloc::boxed::Box<dyn core::ops::Fn() -> i32>>",
       "core::ptr::drop_in_place<alloc::boxed::Box<dyn core::ops::Fn() -> i32>>"},
      {"<(u8, u16) as app::Size>::size", "<(u8, u16) as app::Size>::size"},
  };
  for (const auto& [function, name] : table) {
    INFO(function);
    CHECK(without_signature(function) == name);
    CHECK(without_signature(name) == name);
  }
}

TEST_CASE("what has no parameters stays as it is") {
  for (const char* name : {"",
                           "main",
                           "std::condition_variable::wait<app::waiter_cv()::<lambda()> >",
                           "app::run()::{lambda(int)#1}",
                           "app::run()::<lambda(int)>::operator()",
                           "app::run(int)::Local::go",
                           "app::(anonymous namespace)",
                           "(anonymous namespace)",
                           "operator()",
                           "app::Node::operator()",
                           "libx.so+0x12",
                           "a program+0x12",
                           "[unknown code]",
                           "[leakwatch: main thread]",
                           "main.(*T).Method",
                           "core::str::<impl str>::parse",
                           "app::run::{{closure}}",
                           ")",
                           "(",
                           "a)",
                           "()",
                           "operator"}) {
    INFO(name);
    CHECK(without_signature(name) == name);
  }
}

TEST_CASE("what the demangler says of templates is shown by its name") {
  CHECK(without_signature(demangle("_ZN3app8rememberIiEEvT_")) == "app::remember<int>");
  CHECK(without_signature(demangle("_ZN3app6chooseIiEEPFvcET_")) == "app::choose<int>");
  CHECK(without_signature(demangle("_ZNK3app4NodecvPFviEEv")) == "app::Node::operator void (*)(int)");
}

}  // namespace
}  // namespace leakwatch
