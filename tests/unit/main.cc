// SPDX-License-Identifier: Apache-2.0
//
// The main of the unit tests under Catch2 version 2; version 3 brings one of its own.

#if !__has_include(<catch2/catch_all.hpp>)
// GCC 12 sees an uninitialized value in libstdc++'s regex, which Catch2 uses, when AddressSanitizer is on.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
#endif
