// SPDX-License-Identifier: Apache-2.0
//
// See the header.

#include "preload/sole_writer.h"

namespace leakwatch::preload {

// Several threads may be here with ring 0, whose note is never anything but 0.
void settle_sole_writer(Session& session, shared::Ring& ring, std::uint32_t word, std::uint32_t before_stamp) {
  if (word != 0 && shared::sole_ring(word) != session.index_of(ring)) {
    session.header->sole_writer.store(0, std::memory_order_release);
    word = 0;
  }
  const bool is_sole = (word & shared::kSoleWriterIs) != 0 && word == before_stamp;
  if ((is_sole || word == 0) && ring.sole_writer != word) ring.sole_writer = word;
}

}  // namespace leakwatch::preload
