-- What ends of few runs ask for: of those that crashed, of those that others wait for, of flow runs.
-- uses: flow_runs, news
-- gives: must_stop, list_flow_run, bury, free_dependents

-- Keeps the job of a crashed run where RQ's tools look for failed jobs. Its payload takes another name, so that no
-- worker of ours executes a run that has ended.
local function bury(job, id, keep)
  local kept = redis.call('HMGET', job, 'payload', 'origin')
  if not kept[1] then return end
  redis.call('HDEL', job, 'payload', 'reply', 'dependents')
  redis.call('HSET', job, 'dead_letter', kept[1], 'status', 'failed', 'exc_info',
    'The run did not complete: its record has the reason.')
  redis.call('EXPIRE', job, keep)
  redis.call('ZADD', 'rq:failed:' .. kept[2], math.floor(now_ms() / 1000) + keep, id)
end

-- Frees what waited for an ended run, of which the job says so. `told` collects whom to tell, by inbox.
local function free_dependents(id, record, told, freed)
  local dependents = 'ms:dependents:' .. id
  for _, dependent in ipairs(redis.call('SMEMBERS', dependents)) do
    local waiting = 'rq:job:' .. dependent
    if string.byte(dependent) == 64 then
      -- An inbox that follows the run: '@' and its name.
      add_news(told, string.sub(dependent, 2), id, record)
    elseif redis.call('HEXISTS', waiting, 'waits') == 1 and redis.call('HINCRBY', waiting, 'waits', -1) == 0 then
      redis.call('HDEL', waiting, 'waits')
      freed[#freed + 1] = dependent
    end
  end
  redis.call('DEL', dependents)
end
