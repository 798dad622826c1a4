-- Takes one run that is in no queue any more, under a lease of the caller.
-- ARGV: owner, run id, time as RQ writes it   Gives attempt, mode, tries, payload; or nothing, if somebody else has it.
-- also when memory is full
-- uses: postponed, slots
local owner, id, now = ARGV[1], ARGV[2], ARGV[3]
local job = 'rq:job:' .. id
local run = redis.call('HMGET', job, 'payload', 'mode', 'tries', 'origin')
if not run[1] or not redis.call('ZSCORE', 'ms:leases', owner) then return {} end
if run[3] and is_twice(id, run[4]) then return {} end
-- It takes slots of limits when it begins, as code of a process does: here it cannot be set aside.
free_run(id)
local attempt = redis.call('HINCRBY', job, 'attempts', 1)
redis.call('HSET', job, 'status', 'started', 'worker_name', owner, 'started_at', now)
redis.call('HSET', 'ms:held:' .. owner, id, attempt)
if run[3] then redis.call('HSET', job, 'holder', owner) end
return { attempt, run[2], tonumber(run[3] or 0), run[1] }
