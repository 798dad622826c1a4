-- Queues a flow run anew that has ended without completing, or is suspended. Its next execution gets the same ids for the
-- same calls, and so goes on from what is there.
-- ARGV: id, its record as it is now, its next record, name of its queue, RQ's job data, its payload, or '' if its job is kept,
--       retention in seconds
-- Gives 1, 0 if the record is another one now, or -1 if nobody knows any more how to execute it.
-- uses: queueing, flow_runs
local id, before, record, queue, data, payload, keep = unpack(ARGV)
local key, job = tree(id), 'rq:job:' .. id
local now = redis.call('HGET', key, id)
-- Equal bytes mean that this very call was made before and only its answer was lost.
if now == record then return 1 end
-- One that goes on already, or has not ended yet, is left alone; a suspended one is paused.
if now ~= before or not (has_ended(now) or string.byte(now, 2) == 104) then return 0 end
if payload == '' then
  payload = redis.call('HGET', job, 'dead_letter') or redis.call('HGET', job, 'payload')
  if not payload then return -1 end
else
  -- It was executed by the process that called it, once.
  redis.call('HSET', job, 'data', data, 'timeout', '-1', 'result_ttl', '0', 'mode', 'f', 'attempts', 1)
end
redis.call('HDEL', job, 'dead_letter', 'exc_info', 'crashes', 'slots', 'awaits', 'arrived')
redis.call('HSET', job, 'payload', payload, 'origin', queue, 'status', 'queued')
redis.call('PERSIST', job)
redis.call('ZREM', 'rq:failed:' .. queue, id)
redis.call('ZREM', 'ms:cancelled', id)
list_flow_run(id, before, record, '', keep)
redis.call('HSET', key, id, record)
redis.call('PERSIST', key)
enqueue(queue, { id })
return 1
