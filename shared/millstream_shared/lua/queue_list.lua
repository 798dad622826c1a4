-- How queues stand.
-- ARGV: names...
-- Gives for each: runs that are queued, postponed, failed; 1 if it is paused; workers that were heard of lately; the
-- beginnings of the payloads of the first and the last run, up to when they were made.
local found = {}
for i, queue in ipairs(ARGV) do
  local key, workers, ends = 'rq:queue:' .. queue, 0, {}
  for _, worker in ipairs(redis.call('SMEMBERS', 'rq:workers:' .. queue)) do
    workers = workers + redis.call('EXISTS', worker)
  end
  for at = 0, -1, -1 do
    local id = redis.call('LINDEX', key, at)
    local payload = id and redis.call('HGET', 'rq:job:' .. id, 'payload')
    ends[#ends + 1] = payload and string.sub(payload, 1, 40) or ''
  end
  found[i] = {
    redis.call('LLEN', key), redis.call('ZCARD', 'rq:scheduled:' .. queue), redis.call('ZCARD', 'rq:failed:' .. queue),
    redis.call('SISMEMBER', 'ms:paused', queue), workers, ends[1], ends[2],
  }
end
return found
