-- What is done when runs end.
-- uses: flow_runs, news, handover

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
