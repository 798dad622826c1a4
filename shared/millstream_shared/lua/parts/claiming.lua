-- How a worker is given runs that stand in queues.
-- uses: common, queueing, handover
-- may use: slots, unusual_claims

local MOST_PARKED = 100 -- in one go, before those that were taken begin
local MOST_POPPED = 100 -- in one go, of which those go back that the worker cannot take
local LARGEST_ANSWER = 8388608 -- large payloads are fetched a few at a time: one answer should not block the server

-- The arguments from `first` on say how many sync, async and flow runs the worker `owner` can take, how many in all, the
-- time as RQ writes it, and, up to `last`, from which queues.
local function begin_claim(owner, first, last)
  claim = {
    owner = owner, free = { s = tonumber(ARGV[first]), a = tonumber(ARGV[first + 1]), f = tonumber(ARGV[first + 2]) },
    most = tonumber(ARGV[first + 3]), now = ARGV[first + 4], queues = { unpack(ARGV, first + 5, last) },
    taken = {}, holding = {}, size = 0, parked = 0,
  }
end

local function has_room()
  local free = claim.free
  return (free.s > 0 or free.a > 0 or free.f > 0) and #claim.taken < claim.most and claim.size < LARGEST_ANSWER
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
  claim.taken[#claim.taken + 1] = {
    id, attempt, run[2], tonumber(run[3] or 0), tonumber(run[4] or 0), run[1], refused_by,
  }
end

-- Takes a run that was popped from a queue, or sets it aside. Gives false if there is no room for it.
local function take_popped(id, queue)
  local run = redis.call('HMGET', 'rq:job:' .. id, 'payload', 'mode', 'crashes', 'tries', 'attempts', 'tags', 'slots')
  if run[4] and unusual_claims().is_twice(id, queue) then
    redis.call('HSET', 'rq:job:' .. id, 'status', 'started')
  elseif not run[1] then
    unusual_claims().set_aside(id, queue)
  elseif claim.free[run[2]] <= 0 then
    return false
  else
    local admitted = not run[6] or slots().admit(id, run[6], run[7], claim.owner)
    if admitted then
      give(id, run, nil, admitted ~= true and admitted or nil)
    elseif run[2] == 'f' and redis.call('HGET', 'rq:job:' .. id, 'collision') == 'cancel' then
      give(id, run, nil, unusual_claims().leave_line(id))
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
  local next_due, queues, emptied = -1, claim.queues, {}
  claim.wants = nil
  -- Mostly no queue is paused, no run is postponed, and no bell has a token left: that is asked first, in one call.
  local asked = { 'ms:paused' }
  for _, queue in ipairs(queues) do
    asked[#asked + 1] = 'rq:scheduled:' .. queue
    asked[#asked + 1] = 'ms:bell:' .. queue
  end
  local is_plain = redis.call('EXISTS', unpack(asked)) == 0
  if not is_plain then queues, next_due = unusual_claims().tidy_queues() end
  for _, queue in ipairs(queues) do
    local bell = 'ms:bell:' .. queue
    if take_from(queue) then
      emptied[#emptied + 1] = bell
    elseif #claim.taken + claim.parked > 0 and (is_plain or redis.call('EXISTS', bell) == 0) then
      ring(queue)
    end
  end
  -- Every token in these bells is for work that has been taken.
  if not is_plain and #emptied > 0 then redis.call('DEL', unpack(emptied)) end
  return claim.parked < MOST_PARKED and next_due or 0
end

-- Gives what was taken: for each run id, attempt, mode, crashes, tries, payload, and for one that a limit of 0 will never
-- let in the name of that limit.
local function end_claim()
  call_with('HSET', 'ms:held:' .. claim.owner, claim.holding)
  return claim.taken
end
