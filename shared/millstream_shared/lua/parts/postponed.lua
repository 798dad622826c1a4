-- Runs that are to be executed later, and how they come back into their queues.
-- uses: requeueing, clock

-- Puts postponed runs whose time has come in front of their queue. Gives the milliseconds until the next one is due.
local function enqueue_due(queue)
  local key = 'rq:scheduled:' .. queue
  local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  if not first[1] then return nil end
  local now = now_ms()
  if first[2] * 1000 <= now then
    local due = redis.call('ZRANGEBYSCORE', key, '-inf', string.format('%.3f', now / 1000), 'LIMIT', 0, 500)
    redis.call('ZREM', key, unpack(due))
    enqueue_again(due)
    first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  end
  return first[1] and math.max(math.ceil(first[2] * 1000 - now), 0)
end

-- Whether a run that was tried before, and has just been found in its queue, is also with a worker, or postponed: RQ's
-- scheduler, which looks first and writes later, may queue a run that `enqueue_due` has queued as well.
local function is_twice(id, queue)
  local holder = redis.call('HGET', 'rq:job:' .. id, 'holder')
  return holder and redis.call('HEXISTS', 'ms:held:' .. holder, id) == 1
    or redis.call('ZSCORE', 'rq:scheduled:' .. queue, id)
end
