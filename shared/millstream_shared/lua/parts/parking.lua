-- How a run is held back until others have ended.
-- uses: liveness
-- gives: park_behind

-- Holds a run back until these, their ids joined together, have ended; gives whether any of them has not.
local function park_behind(id, upstream)
  local waits = 0
  for at = 1, #upstream, 32 do
    local other = string.sub(upstream, at, at + 31)
    if is_live(other) and redis.call('SADD', 'ms:dependents:' .. other, id) == 1 then
      redis.call('HSET', 'rq:job:' .. other, 'dependents', '1')
      waits = waits + 1
    end
  end
  if waits > 0 then redis.call('HSET', 'rq:job:' .. id, 'waits', waits, 'status', 'deferred') end
  return waits > 0
end
