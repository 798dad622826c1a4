-- Has a flow run that is paused go on: in its process, or, if it has left that, in another one.
-- ARGV: id, its record as it is now, its next record, retention in seconds, key of the pause, what it is given, the process
--       that waits or '', the order for that
-- Gives 1, or 0 if the record is another one now.
-- also when memory is full
-- uses: requeueing, flow_runs
local id, before, record, keep, key, input, owner, order = unpack(ARGV)
local now, inputs, job = redis.call('HGET', tree(id), id), 'ms:inputs:' .. id, 'rq:job:' .. id
-- Equal bytes mean that this very call was made before and only its answer was lost.
if now == record then return 1 end
if now ~= before then return 0 end
redis.call('HSET', inputs, 'input ' .. key, input)
redis.call('EXPIRE', inputs, keep)
list_flow_run(id, before, record, '', keep)
redis.call('HSET', tree(id), id, record)
if owner ~= '' then
  redis.call('RPUSH', 'ms:orders:' .. owner, order)
  redis.call('EXPIRE', 'ms:orders:' .. owner, 3600)
else
  redis.call('ZREM', 'rq:scheduled:' .. (redis.call('HGET', job, 'origin') or ''), id)
  enqueue_again({ id })
end
return 1
