-- Lets a flow run leave its process until it is resumed.
-- ARGV: owner, id, attempt, its next record, retention in seconds, key of the pause, when that ends in ms or ''
-- Gives 1, or 0 if the owner does not hold it, or it is being cancelled.
-- also when memory is full
-- uses: flow_runs, slots
local owner, id, attempt, record, keep, key, ends = unpack(ARGV)
local held, job, inputs = 'ms:held:' .. owner, 'rq:job:' .. id, 'ms:inputs:' .. id
local before = redis.call('HGET', tree(id), id)
-- Equal bytes mean that this very call was made before and only its answer was lost.
if before == record then return 1 end
if redis.call('HGET', held, id) ~= attempt or string.byte(before or '  ', 2) == 103 then return 0 end
redis.call('HDEL', held, id)
free_run(id)
list_flow_run(id, before, record, '', keep)
redis.call('HSET', tree(id), id, record)
redis.call('HSET', job, 'status', 'deferred')
if ends ~= '' then
  -- Then it is executed again, and finds that it was not resumed.
  redis.call('HSET', job, 'status', 'scheduled')
  redis.call('HSET', inputs, 'until ' .. key, ends)
  redis.call('EXPIRE', inputs, keep)
  redis.call('ZADD', 'rq:scheduled:' .. redis.call('HGET', job, 'origin'), string.format('%.3f', ends / 1000), id)
  ring(redis.call('HGET', job, 'origin'))
end
pass_slots_on()
return 1
