-- Writes the records of runs that a process executes by itself. The record of a run that has ended never changes, but by
-- the second execution of a flow run; that of a flow run which was told to stop only by its end as Cancelled.
-- ARGV: owner, retention in seconds, then for each run: id, record, facets of a flow run (see flow_runs.lua) or '', and
--       'h' to hold it under the owner's lease, 'a' to do so though it may have ended before, '' not to, or 'l' and a
--       number of tries for a queued run, which the owner has claimed
-- Gives the ids that were refused.
-- also when memory is full
-- uses: flow_runs
local owner, retention = ARGV[1], ARGV[2]
local held = 'ms:held:' .. owner
local refused, trees = {}, {}
for i = 3, #ARGV, 4 do
  local id, record, facets, hold = unpack(ARGV, i, i + 3)
  local key = tree(id)
  local before = redis.call('HGET', key, id)
  local tries = string.match(hold, '^l(%d+)$')
  if tries and has_ended(record) then
    -- A late word of a run that was interrupted meanwhile: how it ended is for `settle`, which also takes its job away.
    refused[#refused + 1] = id
  elseif (has_ended(before) and hold ~= 'a') or (tries and redis.call('HEXISTS', held, id) == 0) then
    if before ~= record then refused[#refused + 1] = id end
  elseif must_stop(id, record) then
    refused[#refused + 1] = id
  else
    if is_flow(id) then list_flow_run(id, before, record, facets, retention) end
    redis.call('HSET', key, id, record)
    if tries then
      redis.call('HSET', 'rq:job:' .. id, 'tries', tries)
    else
      trees[key] = true
    end
    if hold == 'h' or hold == 'a' then redis.call('HSET', held, id, '1') end
  end
  if has_ended(record) and not tries and not must_stop(id, record) then redis.call('HDEL', held, id) end
end
for key in pairs(trees) do redis.call('EXPIRE', key, retention) end
return refused
