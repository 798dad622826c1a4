-- How a worker is given runs: those that become ready while the script settles others, and those that stand in queues.
-- uses: postponed, handover

local MOST_PARKED = 100 -- in one go, before those that were taken begin
local MOST_POPPED = 100 -- in one go, of which those go back that the worker cannot take
local LARGEST_ANSWER = 8388608 -- large payloads are fetched a few at a time: one answer should not block the server

-- `demand` has how many sync, async and flow runs the worker `owner` can take, how many in all, the time as RQ writes
-- it, queues...
local function begin_claim(owner, demand)
  claim = {
    owner = owner, free = { s = tonumber(demand[1]), a = tonumber(demand[2]), f = tonumber(demand[3]) },
    most = tonumber(demand[4]), now = demand[5], queues = { unpack(demand, 6) }, taken = {}, holding = {}, size = 0,
  }
end

local function has_room()
  local free = claim.free
  return (free.s > 0 or free.a > 0 or free.f > 0) and #claim.taken < claim.most and claim.size < LARGEST_ANSWER
end

-- The queues that are not paused, in order of priority, and the others.
local function open_queues()
  local open, shut, paused = {}, {}, redis.call('SMISMEMBER', 'ms:paused', unpack(claim.queues))
  for i, queue in ipairs(claim.queues) do table.insert(paused[i] == 1 and shut or open, queue) end
  return open, shut
end

local function answer_with(id, attempt, run, refused_by)
  claim.taken[#claim.taken + 1] = {
    id, attempt, run[2], tonumber(run[3] or 0), tonumber(run[4] or 0), run[1], refused_by,
  }
end

-- Gives the worker a run: its payload, mode, crashes, tries and attempts. `slots` are new ones that it has of limits.
local function give(id, run, slots, refused_by)
  local job, attempt, owner = 'rq:job:' .. id, tonumber(run[5] or 0) + 1, claim.owner
  claim.size = claim.size + #run[1]
  claim.free[run[2]] = claim.free[run[2]] - 1
  redis.call('HSET', job, 'status', 'started', 'worker_name', owner, 'started_at', claim.now, 'attempts', attempt)
  if slots then redis.call('HSET', job, 'slots', slots) end
  if run[4] then
    -- At once, as it may stand in the queue once more: see `is_twice`.
    redis.call('HSET', job, 'holder', owner)
    redis.call('HSET', 'ms:held:' .. owner, id, attempt)
  else
    local holding = claim.holding
    holding[#holding + 1] = id
    holding[#holding + 1] = attempt
  end
  answer_with(id, attempt, run, refused_by)
end

-- Has what becomes ready from now on given to the worker, as far as it has room, instead of put in front of its queue.
-- Not where other workers serve that queue too: the bell wakes the one that has been idle longest, and so the runs of a
-- limit, or of a chain, do not all stay with whoever had the first of them.
local function accept_ready()
  local reached
  -- What lies on the queues before comes first. Who has lost its lease is given nothing.
  local function is_in_reach(queue)
    if not reached then
      reached = {}
      local open = redis.call('ZSCORE', 'ms:leases', claim.owner) and open_queues() or {}
      for i, each in ipairs(open) do
        reached[each] = redis.call('SCARD', 'rq:workers:' .. each) < 2
        if i < #open and redis.call('LLEN', 'rq:queue:' .. each) > 0 then break end
      end
    end
    return reached[queue]
  end
  claim.wants = function(queue, mode)
    return claim.free[mode] > 0 and has_room() and is_in_reach(queue)
  end
  -- Gives whether it was taken.
  claim.take = function(id, queue, slots)
    local run = redis.call('HMGET', 'rq:job:' .. id, 'payload', 'mode', 'crashes', 'tries', 'attempts')
    if not run[1] or run[4] and is_twice(id, queue) then return false end
    give(id, run, slots)
    return true
  end
end

-- Takes those of these runs, which are ready, that the worker wants; gives the others. Tags are for `search` to look at.
local function take_ready(ids)
  local left = {}
  for _, id in ipairs(ids) do
    local queue, mode, tags = unpack(redis.call('HMGET', 'rq:job:' .. id, 'origin', 'mode', 'tags'))
    if not queue or tags or not claim.wants(queue, mode) or not claim.take(id, queue) then left[#left + 1] = id end
  end
  return left
end

-- A flow run that does not stand in line: its worker ends it.
local function give_refused(id, run)
  local job = 'rq:job:' .. id
  local line = redis.call('HGET', job, 'awaits')
  redis.call('ZREM', 'ms:waiters:' .. line, id)
  redis.call('HDEL', job, 'awaits')
  local attempt = redis.call('HINCRBY', job, 'attempts', 1)
  redis.call('HSET', job, 'status', 'started', 'worker_name', claim.owner)
  redis.call('HSET', 'ms:held:' .. claim.owner, id, attempt)
  answer_with(id, attempt, run, line)
end

-- Sets aside what was found in a queue and is not ours to execute.
local function set_aside(id, queue)
  local job = 'rq:job:' .. id
  if has_ended(redis.call('HGET', tree(id), id)) and redis.call('HEXISTS', job, 'dead_letter') == 0 then
    -- Queued once more by RQ's scheduler, which wrote its job anew.
    redis.call('DEL', job)
  elseif redis.call('EXISTS', job) == 1 then
    -- A job enqueued with RQ itself is not ours to run, nor is a dead letter that was requeued. Both go to where RQ's
    -- tools list failed jobs.
    redis.call('HSET', job, 'status', 'failed')
    redis.call('HSETNX', job, 'exc_info',
      'This job was not made by millstream. Serve its queue with `rq worker`, or give it a queue of its own.')
    redis.call('ZADD', 'rq:failed:' .. queue, math.floor(now_ms() / 1000) + 31536000, id)
  end
  -- else: the run was withdrawn while it was queued.
end

local function names_of(prefix, queues)
  local names = {}
  for i, queue in ipairs(queues) do names[i] = prefix .. queue end
  return names
end

-- Takes a run that was popped from a queue, or sets it aside. Gives false if there is no room for it.
local function take_popped(id, queue)
  local run = redis.call('HMGET', 'rq:job:' .. id, 'payload', 'mode', 'crashes', 'tries', 'attempts', 'tags', 'slots')
  if run[4] and is_twice(id, queue) then
    redis.call('HSET', 'rq:job:' .. id, 'status', 'started')
  elseif not run[1] then
    set_aside(id, queue)
  elseif claim.free[run[2]] <= 0 then
    return false
  else
    local admitted = not run[6] or slots().admit(id, run[6], run[7], claim.owner)
    if admitted then
      give(id, run, nil, admitted ~= true and admitted or nil)
    elseif run[2] == 'f' and redis.call('HGET', 'rq:job:' .. id, 'collision') == 'cancel' then
      give_refused(id, run)
    else
      claim.parked = claim.parked + 1
    end
  end
  return true
end

-- Takes from a queue what there is room for. Gives whether that has emptied it.
local function take_from(queue)
  local key, free = 'rq:queue:' .. queue, claim.free
  while has_room() and claim.parked < MOST_PARKED do
    local wanted = math.min(math.max(free.s, free.f, 1), claim.most - #claim.taken, MOST_POPPED)
    local ids = redis.call('LPOP', key, wanted) or {}
    for i, id in ipairs(ids) do
      if not has_room() or claim.parked >= MOST_PARKED or not take_popped(id, queue) then
        local rest = {}
        for at = #ids, i, -1 do rest[#rest + 1] = ids[at] end
        redis.call('LPUSH', key, unpack(rest))
        return false
      end
    end
    if #ids < wanted then return true end
  end
  return redis.call('LLEN', key) == 0
end

-- Takes runs from the queues, in order of priority. Gives milliseconds until a postponed run is due, or -1; 0 if so many
-- were parked that there may be others to take behind them.
local function search()
  local next_due, open, quiet = -1, open_queues()
  claim.wants, claim.parked = nil, 0
  local are_postponed = #open > 0 and redis.call('EXISTS', unpack(names_of('rq:scheduled:', open))) > 0
  for _, queue in ipairs(open) do
    local wait = are_postponed and enqueue_due(queue)
    if wait and (next_due < 0 or wait < next_due) then next_due = wait end
    if take_from(queue) then
      quiet[#quiet + 1] = queue
    elseif #claim.taken + claim.parked > 0 and redis.call('EXISTS', 'ms:bell:' .. queue) == 0 then
      ring(queue)
    end
  end
  -- Every token in these bells is for work that has been taken; who resumes a queue rings its bell.
  if #quiet > 0 then redis.call('DEL', unpack(names_of('ms:bell:', quiet))) end
  return claim.parked < MOST_PARKED and next_due or 0
end

-- Gives what was taken: for each run id, attempt, mode, crashes, tries, payload, and for one that a limit of 0 will never
-- let in the name of that limit.
local function end_claim()
  call_with('HSET', 'ms:held:' .. claim.owner, claim.holding)
  return claim.taken
end
