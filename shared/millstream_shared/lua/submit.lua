-- Queues the runs of one batch, or parks those whose upstream runs have not ended yet.
-- ARGV: queue, '1' to put them in front, inbox to tell, 's'ync or 'a'sync, RQ's job data, '1' if they may have been
--       sent before, the tags of the runs, a line each, then for each run: id, description, payload, the ids of its upstream runs joined together
-- uses: queueing
-- may use: parking, following
local queue, front, inbox, mode, data, again, tags = unpack(ARGV, 1, 7)
local ready, told = {}, {}
for i = 8, #ARGV, 4 do
  local id, description, payload, upstream = unpack(ARGV, i, i + 3)
  local job = 'rq:job:' .. id
  if again ~= '1' or not following().follow(id, inbox, told) then
    redis.call('HSET', job, 'data', data, 'origin', queue, 'description', description, 'timeout', '-1',
      'result_ttl', '0', 'payload', payload, 'mode', mode, 'reply', inbox, 'status', 'queued')
    if tags ~= '' then redis.call('HSET', job, 'tags', tags) end
    if upstream == '' or not parking().park_behind(id, upstream) then ready[#ready + 1] = id end
  end
end
enqueue(queue, ready, front == '1')
if again == '1' then following().tell(told) end
return #ready
