-- Keeps lines of runs, in chunks; of each run the newest, and at most one chunk more than is asked for.
-- ARGV: retention in seconds, lines to keep of a run, then for each run:
--   id, name, time of its first line here in µs, how many lines it logged, mark of this batch, number of chunks, chunks
-- What is known of a run: lines logged, lines that are there, time of the first, lines to keep, mark, name.
local retention, bound = ARGV[1], tonumber(ARGV[2])

-- The second and third byte of a chunk say how many lines are in it.
local function count(chunk)
  return string.byte(chunk, 2) * 256 + string.byte(chunk, 3)
end

local indexes = {}
local i = 3
while i <= #ARGV do
  local id, name, first, logged, mark = ARGV[i], ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3]), ARGV[i + 4]
  local list, index = 'ms:logs:' .. id, 'ms:logged:' .. string.sub(id, 1, 12)
  local begin = i + 6
  i = begin + tonumber(ARGV[i + 5])
  local total, there, known_first, known_mark = 0, 0, nil, nil
  local known = redis.call('HGET', index, id)
  if known then
    total, there, known_first, known_mark = string.match(known, '^(%d+) (%d+) (%d+) %d+ (%S+)')
  end
  -- The same mark means that this very call was made before and only its answer was lost.
  if known_mark ~= mark then
    total, there = tonumber(total) + logged, tonumber(there)
    for at = begin, i - 1 do
      -- The list may be over its time, while the index, which other runs keep alive, is not.
      if redis.call('RPUSH', list, ARGV[at]) == 1 then there = 0 end
      there = there + count(ARGV[at])
    end
    while there > bound do
      local oldest = count(redis.call('LINDEX', list, 0))
      if there - oldest < bound then break end
      redis.call('LPOP', list)
      there = there - oldest
    end
    redis.call('HSET', index, id, string.format('%d %d %s %d %s %s', total, there, known_first or first, bound, mark, name))
    redis.call('EXPIRE', list, retention)
    indexes[index] = true
  end
end
for index in pairs(indexes) do redis.call('EXPIRE', index, retention) end
return 1
