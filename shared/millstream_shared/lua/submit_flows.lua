-- Queues flow runs, each with its first record. Those whose time has not come wait in RQ's registry of scheduled jobs.
-- ARGV: inbox to tell or '', RQ's job data, '1' if they may have been sent before, retention in seconds, then for each run: queue,
--       id, name, payload, the ids of its upstream runs joined together, record, facets (see flow_runs.lua), when it is due in
--       ms or '', the flow run around it or '', what becomes of it if its process dies ('resume' or ''), the tag that limits
--       it or '', what becomes of it where that has no slot ('cancel' or ''), '' or the key of which there may be one run only
-- Gives the id of each, or that of the run which has its key.
-- uses: requeueing, parking, flow_runs, following
local inbox, data, again, keep = unpack(ARGV, 1, 4)
local given, told, ready = {}, {}, {}
for i = 5, #ARGV, 13 do
  local queue, id, name, payload, upstream, record, facets, due, parent, on_crash, tag, collision, key = unpack(ARGV, i, i + 12)
  local lock = 'ms:once:' .. key
  local first = key ~= '' and redis.call('GET', lock)
  if first and redis.call('HEXISTS', tree(first), first) == 1 then
    id = first
    if inbox ~= '' then follow(id, inbox, told) end
  elseif again ~= '1' or not follow(id, inbox, told) then
    local job = 'rq:job:' .. id
    redis.call('HSET', job, 'data', data, 'origin', queue, 'description', name, 'timeout', '-1', 'result_ttl', '0',
      'payload', payload, 'mode', 'f', 'status', 'queued')
    if inbox ~= '' then redis.call('HSET', job, 'reply', inbox) end
    if on_crash ~= '' then redis.call('HSET', job, 'on_crash', on_crash) end
    if tag ~= '' then redis.call('HSET', job, 'tags', tag, 'collision', collision) end
    list_flow_run(id, false, record, facets, keep)
    redis.call('HSET', tree(id), id, record)
    if key ~= '' then redis.call('SET', lock, id, 'EX', keep) end
    if parent ~= '' then
      local children = 'ms:subflows:' .. string.sub(parent, 1, 12)
      redis.call('SADD', children, id)
      redis.call('EXPIRE', children, keep)
    end
    if park_behind(id, upstream) then
      -- What it waits for will queue it.
    elseif due ~= '' and tonumber(due) > now_ms() then
      redis.call('HSET', job, 'status', 'scheduled')
      redis.call('ZADD', 'rq:scheduled:' .. queue, string.format('%.3f', due / 1000), id)
      -- A worker that listens has to learn when to look.
      ring(queue)
    else
      add_to(ready, queue, id)
    end
  end
  given[#given + 1] = id
end
enqueue_all(ready)
tell(told)
return given
