// SPDX-License-Identifier: Apache-2.0
//
// Statically linked: what a watched process may become, and is not watched any more.

int main(void) {
  return 0;
}
