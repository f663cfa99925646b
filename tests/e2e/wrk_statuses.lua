-- SPDX-License-Identifier: Apache-2.0
--
-- For wrk -s, with one thread: how many answers came with each status, as lines "status CODE COUNT".
local flood

function setup(thread)
  flood = thread
end

function init()
  counts = {}
end

function response(status)
  counts[status] = (counts[status] or 0) + 1
end

function done()
  for status, count in pairs(flood:get("counts")) do
    io.write(string.format("status %d %d\n", status, count))
  end
end
