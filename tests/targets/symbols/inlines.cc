// SPDX-License-Identifier: Apache-2.0
//
// Three functions at one address: a member function declared in its class and defined outside of it, one in a nested
// namespace, and one with internal linkage. The label `probe` stands in the innermost; tests find the lines by the
// comments at their ends.
namespace shop {

class Cart {
 public:
  int total(int count) const;

 private:
  int price_ = 3;
};

namespace {

[[gnu::always_inline]] inline int innermost(int value) {   // innermost begins
  asm volatile(".globl probe\nprobe: nop" : "+r"(value));  // innermost stands
  return value + 1;
}

}  // namespace

namespace tax {

[[gnu::always_inline]] inline int middle(int value) {  // middle begins
  return innermost(value) * 2;                         // middle stands
}

}  // namespace tax

[[gnu::noinline]] int Cart::total(int count) const {  // outermost begins
  return tax::middle(count) + price_;                 // outermost stands
}

}  // namespace shop

static __attribute__((noinline)) int hidden(int value) {                 // hidden begins
  asm volatile(".globl hidden_probe\nhidden_probe: nop" : "+r"(value));  // hidden stands
  return value;
}

int main(int count, char**) {
  return shop::Cart().total(count) + hidden(count);
}
