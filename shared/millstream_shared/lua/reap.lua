-- Takes the runs of a process whose lease has run out: back to their queues with them, or, where they may not go
-- round again, into the hands of the caller, who settles them.
-- ARGV: caller, crash limit
-- Gives nothing if no lease has run out, else: dead owner, number of runs put back, and for each run that the caller
-- now holds: id, attempt, payload or its record, 'task' or 'flow', and of a queued flow run its payload
-- also when memory is full
-- uses: flow_runs, slots
local caller, limit = ARGV[1], tonumber(ARGV[2])
local dead = redis.call('ZRANGEBYSCORE', 'ms:leases', '-inf', now_ms(), 'LIMIT', 0, 1)[1]
evict_expired()
if not dead then
  pass_slots_on(true)
  return {}
end
let_go_all(dead)
local held = 'ms:held:' .. dead
local back, over = {}, {}
local runs = redis.call('HGETALL', held)
for i = 1, #runs, 2 do
  local id, attempt = runs[i], runs[i + 1]
  local job = 'rq:job:' .. id
  local payload = redis.call('HGET', job, 'payload')
  if payload then
    if redis.call('HINCRBY', job, 'crashes', 1) >= limit or not may_go_on(id) then
      redis.call('HSET', 'ms:held:' .. caller, id, attempt)
      if is_flow(id) then
        over[#over + 1] = { id, attempt, redis.call('HGET', tree(id), id), 'flow', payload }
      else
        over[#over + 1] = { id, attempt, payload, 'task' }
      end
    else
      free_run(id)
      back[#back + 1] = id
    end
  else
    local record = redis.call('HGET', tree(id), id)
    if record and not has_ended(record) then
      redis.call('HSET', 'ms:held:' .. caller, id, attempt)
      over[#over + 1] = { id, attempt, record, 'flow' }
    end
  end
end
redis.call('DEL', held, 'ms:inbox:' .. dead, 'ms:orders:' .. dead)
redis.call('ZREM', 'ms:leases', dead)
enqueue_again(back)
pass_slots_on(true)
return { dead, #back, over }
