-- Puts runs off that failed and are to be tried again, if the worker that says so still holds them: into RQ's registry
-- of scheduled jobs, from which `claim`, or RQ's own scheduler, takes them when their time has come.
-- ARGV: owner, retention in seconds, then for each run: id, attempt, record, milliseconds to wait, tries so far
-- Gives the ids that were refused: another worker had taken them over.
-- also when memory is full
-- uses: slots
local owner, retention = ARGV[1], ARGV[2]
local held = 'ms:held:' .. owner
local at_once, refused, trees = {}, {}, {}
for i = 3, #ARGV, 5 do
  local id, attempt, record, wait, tries = unpack(ARGV, i, i + 4)
  local job = 'rq:job:' .. id
  if redis.call('HGET', held, id) == attempt then
    redis.call('HDEL', held, id)
    free_run(id)
    redis.call('HSET', tree(id), id, record)
    redis.call('HSET', job, 'status', 'scheduled', 'tries', tries)
    trees[tree(id)] = true
    if tonumber(wait) > 0 then
      local due = string.format('%.3f', (now_ms() + wait) / 1000)
      redis.call('ZADD', 'rq:scheduled:' .. redis.call('HGET', job, 'origin'), due, id)
    else
      at_once[#at_once + 1] = id
    end
  elseif redis.call('HGET', tree(id), id) ~= record then
    -- Equal bytes mean that this very call was made before and only its answer was lost.
    refused[#refused + 1] = id
  end
end
for key in pairs(trees) do redis.call('EXPIRE', key, retention) end
if #refused > 0 then redis.call('HINCRBY', 'ms:counters', 'refused', #refused) end
enqueue_again(at_once)
pass_slots_on()
return refused
