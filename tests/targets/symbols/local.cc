// SPDX-License-Identifier: Apache-2.0
//
// A class inside a function that was declared before it was defined: the way from the class to its namespace leads
// through that declaration.
namespace nook {

int spot(int value);

int spot(int value) {  // spot begins
  struct Local {
    [[gnu::always_inline]] int add(int more) const {                  // add begins
      asm volatile(".globl add_probe\nadd_probe: nop" : "+r"(more));  // add stands
      return more + 1;
    }
  };
  return Local().add(value);  // spot stands
}

}  // namespace nook
