-- What several scripts share; it is put in front of each of them.

-- What the script takes for the worker that calls it, where that asks for runs: see `claiming.lua`.
local claim

-- The time at which the script began.
local began
local function now_ms()
  if not began then
    local time = redis.call('TIME')
    began = time[1] * 1000 + math.floor(time[2] / 1000)
  end
  return began
end

-- Calls a command with a list of values, a thousand at a time: more than some thousands Lua cannot pass on.
local function call_with(command, key, values)
  for first = 1, #values, 1000 do
    redis.call(command, key, unpack(values, first, math.min(first + 999, #values)))
  end
end

local function tree(id)
  return 'ms:runs:' .. string.sub(id, 1, 12)
end

-- A record's second byte is a capital letter once its run has ended.
local function has_ended(record)
  local letter = record and string.byte(record, 2)
  return letter and letter >= 65 and letter <= 90
end

local function is_flow(id)
  return string.sub(id, 17, 17) == 'a'
end

-- Keeps the lists of flow runs in step with a record that is about to be written: one list for each state, and, with
-- `facets`, which only the first record of a run has, those of all, of its flow and of its deployment. Lists of what has
-- ended forget what is so old that its record is gone too.
local function list_flow_run(id, before, record, facets, keep)
  local state = string.lower(string.sub(record, 2, 2))
  local old = before and string.lower(string.sub(before, 2, 2))
  if state == old then return end
  local now = now_ms() * 1000
  local function add(list, born, is_trimmed)
    redis.call('ZADD', list, born, id)
    if is_trimmed then redis.call('ZREMRANGEBYSCORE', list, '-inf', now - 2000000 * keep) end
    redis.call('EXPIRE', list, 2 * keep)
  end
  local born = redis.call('ZSCORE', 'ms:flow-runs', id)
  if facets ~= '' and not born then
    local created, flow, deployment = string.match(facets, '^(%d+)\n([^\n]*)\n(.*)$')
    born = created
    add('ms:flow-runs', born, true)
    add('ms:flow-runs:flow:' .. flow, born, true)
    redis.call('ZADD', 'ms:flows', born, flow)
    redis.call('EXPIRE', 'ms:flows', 2 * keep)
    if deployment ~= '' then add('ms:flow-runs:deployment:' .. deployment, born, true) end
  end
  if old then redis.call('ZREM', 'ms:flow-runs:state:' .. old, id) end
  add('ms:flow-runs:state:' .. state, born or now, has_ended(record))
end

-- Whether a flow run was told to stop, and so may not become what `record` says: it can only be Cancelled.
local function must_stop(id, record)
  if not is_flow(id) or string.byte(record, 2) == 88 then return false end
  local before = redis.call('HGET', tree(id), id)
  return before and string.byte(before, 2) == 103
end

-- Whether a run is still to be executed: it has a job, and not one that is only kept for a look at what went wrong.
local function is_live(id)
  return redis.call('HEXISTS', 'rq:job:' .. id, 'payload') == 1
end

-- Holds a run back until these, their ids joined together, have ended; gives whether any of them has not.
local function park_behind(id, upstream)
  local waits = 0
  for at = 1, #upstream, 32 do
    local other = string.sub(upstream, at, at + 31)
    if is_live(other) and redis.call('SADD', 'ms:dependents:' .. other, id) == 1 then
      redis.call('HSET', 'rq:job:' .. other, 'dependents', '1')
      waits = waits + 1
    end
  end
  if waits > 0 then redis.call('HSET', 'rq:job:' .. id, 'waits', waits, 'status', 'deferred') end
  return waits > 0
end

-- Wakes one idle worker. More than one token is of use only while workers are busy taking them.
local function ring(queue)
  local bell = 'ms:bell:' .. queue
  redis.call('LPUSH', bell, '1')
  redis.call('LTRIM', bell, 0, 15)
  redis.call('EXPIRE', bell, 3600)
end

-- Appends to a queue, or puts in front of it keeping the given order, however many there are.
local function enqueue(queue, ids, front)
  if #ids == 0 then return end
  local key = 'rq:queue:' .. queue
  redis.call('SADD', 'rq:queues', key)
  if front then
    local reversed = {}
    for i = #ids, 1, -1 do reversed[#reversed + 1] = ids[i] end
    call_with('LPUSH', key, reversed)
  else
    call_with('RPUSH', key, ids)
  end
  ring(queue)
end

-- Collects runs by queue: the queues in order, and for each its runs.
local function add_to(queues, queue, id)
  if not queues[queue] then
    queues[queue] = {}
    queues[#queues + 1] = queue
  end
  table.insert(queues[queue], id)
end

local function enqueue_all(queues, front)
  for _, queue in ipairs(queues) do enqueue(queue, queues[queue], front) end
end

-- Puts runs that were taken, or were waiting, at the front of the queues they belong to: what was begun comes first.
local function enqueue_again(ids)
  local queues = {}
  for _, id in ipairs(ids) do
    local queue = redis.call('HGET', 'rq:job:' .. id, 'origin')
    if queue then
      redis.call('HSET', 'rq:job:' .. id, 'status', 'queued')
      add_to(queues, queue, id)
    end
  end
  enqueue_all(queues, true)
end

-- Puts postponed runs whose time has come in front of their queue. Gives the milliseconds until the next one is due.
local function enqueue_due(queue)
  local key = 'rq:scheduled:' .. queue
  local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  if not first[1] then return nil end
  local now = now_ms()
  if first[2] * 1000 <= now then
    local due = redis.call('ZRANGEBYSCORE', key, '-inf', string.format('%.3f', now / 1000), 'LIMIT', 0, 500)
    redis.call('ZREM', key, unpack(due))
    enqueue_again(due)
    first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  end
  return first[1] and math.max(math.ceil(first[2] * 1000 - now), 0)
end

-- Whether a run that was tried before, and has just been found in its queue, is also with a worker, or postponed: RQ's
-- scheduler, which looks first and writes later, may queue a run that `enqueue_due` has queued as well.
local function is_twice(id, queue)
  local holder = redis.call('HGET', 'rq:job:' .. id, 'holder')
  return holder and redis.call('HEXISTS', 'ms:held:' .. holder, id) == 1
    or redis.call('ZSCORE', 'rq:scheduled:' .. queue, id)
end

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

-- Whether a run whose process has died may be executed again by itself: a task run may. A flow run only if it had not
-- begun, or if that is the policy of its deployment; not one that is being cancelled.
local function may_go_on(id)
  if not is_flow(id) then return true end
  local letter = string.sub(redis.call('HGET', tree(id), id) or '', 2, 2)
  if letter == 'g' then return false end
  return letter == 's' or letter == 'p' or redis.call('HGET', 'rq:job:' .. id, 'on_crash') == 'resume'
end

-- Ended runs that had slots of limits, or waited for one: `pass_slots_on` goes on with them.
local leaving = {}

-- Has an inbox told of a run that has ended. A small record goes along, and need not be asked for; it is a copy of what
-- never changes again.
local function add_news(told, inbox, id, record)
  told[inbox] = told[inbox] or {}
  table.insert(told[inbox], #record <= 4096 and id .. record or id)
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

-- Writes the records of ended runs, takes their jobs away, frees what waited for them. `ended` has ids and records in
-- turn, at most 1,000 of each. What can be done for all of them in one call is: a call costs as much as what it does.
local function finish(ended, keep, told, freed)
  local trees, jobs = {}, {}
  for i = 1, #ended, 2 do
    local id, record = ended[i], ended[i + 1]
    local key, job, letter = tree(id), 'rq:job:' .. id, string.byte(record, 2)
    -- A flow run that did not complete may be resumed.
    local is_kept = letter == 75
    if is_flow(id) then
      list_flow_run(id, redis.call('HGET', key, id), record, '', keep)
      is_kept = letter ~= 67
    end
    trees[key] = trees[key] or {}
    table.insert(trees[key], id)
    table.insert(trees[key], record)
    local known = redis.call('HMGET', job, 'reply', 'dependents', 'slots', 'awaits')
    if is_kept then bury(job, id, keep) else jobs[#jobs + 1] = job end
    if known[1] then add_news(told, known[1], id, record) end
    if known[2] then free_dependents(id, record, told, freed) end
    if known[3] or known[4] then leaving[#leaving + 1] = { id = id, slots = known[3], awaits = known[4] } end
  end
  for key, records in pairs(trees) do
    redis.call('HSET', key, unpack(records))
    redis.call('EXPIRE', key, keep)
  end
  if #jobs > 0 then redis.call('DEL', unpack(jobs)) end
end

-- Has an inbox told of the end of a run: when it comes, or, if it has come, with what `tell` sends. Gives whether there
-- is such a run.
local function follow(id, inbox, told)
  if is_live(id) then
    redis.call('SADD', 'ms:dependents:' .. id, '@' .. inbox)
    redis.call('HSET', 'rq:job:' .. id, 'dependents', '1')
    return true
  end
  local record = redis.call('HGET', tree(id), id)
  if not has_ended(record) then return false end
  add_news(told, inbox, id, record)
  return true
end

local function tell(told)
  for inbox, news in pairs(told) do
    local key = 'ms:inbox:' .. inbox
    call_with('RPUSH', key, news)
    redis.call('EXPIRE', key, 3600)
  end
end
