-- Queues the runs of one batch, or parks those whose upstream runs have not ended yet.
-- ARGV: queue, '1' to put them in front, inbox to tell, 's'ync or 'a'sync, RQ's job data, '1' if sent before, the tags
--       of the runs, a line each, then for each run: id, description, payload, the ids of its upstream runs joined together
local queue, front, inbox, mode, data, again, tags = unpack(ARGV, 1, 7)
local ready = {}
for i = 8, #ARGV, 4 do
  local id, description, payload, upstream = unpack(ARGV, i, i + 3)
  local job = 'rq:job:' .. id
  local known = again == '1'
    and (redis.call('EXISTS', job) == 1 or redis.call('HEXISTS', tree(id), id) == 1)
  if not known then
    redis.call('HSET', job, 'data', data, 'origin', queue, 'description', description, 'timeout', '-1',
      'result_ttl', '0', 'payload', payload, 'mode', mode, 'reply', inbox, 'status', 'queued')
    if tags ~= '' then redis.call('HSET', job, 'tags', tags) end
    local waits = 0
    for at = 1, #upstream, 32 do
      local other = string.sub(upstream, at, at + 31)
      if is_live(other) and redis.call('SADD', 'ms:dependents:' .. other, id) == 1 then
        redis.call('HSET', 'rq:job:' .. other, 'dependents', '1')
        waits = waits + 1
      end
    end
    if waits > 0 then
      redis.call('HSET', job, 'waits', waits, 'status', 'deferred')
    else
      ready[#ready + 1] = id
    end
  end
end
enqueue(queue, ready, front == '1')
return #ready
