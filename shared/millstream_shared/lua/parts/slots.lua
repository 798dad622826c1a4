-- The slots of concurrency limits: who holds them, who stands in line, and how a slot goes from one to the next.
-- uses: requeueing, clock, news, handover
-- gives: admit, pass_slots_on
--
-- The holders in `ms:slots:<limit>` are all there is: what counts as taken is what stands there. A holder is a run, of
-- which the job has the field `slots`, or code of a process, which `ms:holds:<owner>` knows. A slot that was freed goes
-- to the first in line before the script ends, so that nobody who comes later finds it free.

local RESERVED_MS = 15000 -- how long a run that was called to its queue keeps its slots before a worker takes it
local REAPED_MS = 3000 -- after the end of a lease, by when a worker has seen it, if there is one
local MOST_CALLED = 200 -- of one line, in one go: the server should not be busy for long
local limits, touched, called, notes, reserved, unreserved = {}, {}, {}, {}, {}, {}

local function split(text)
  local parts = {}
  for part in string.gmatch(text, '[^\n]+') do parts[#parts + 1] = part end
  return parts
end

-- The limits that a run of these tags has to pass, if they exist.
local function limits_of_tags(tags)
  local names = split(tags)
  for i, tag in ipairs(names) do names[i] = 'tag:' .. tag end
  return names
end

local function limit_named(name)
  if limits[name] == nil then
    local found = redis.call('HMGET', 'ms:limit:' .. name, 'limit', 'active', 'decay', 'heavy')
    limits[name] = found[1] and {
      slots = tonumber(found[1]),
      -- Where slots come back with time, nobody holds them: see `rate.lua`.
      holds = found[2] == '1' and tonumber(found[3]) == 0,
      decays = found[2] == '1' and tonumber(found[3]) > 0,
      heavy = found[4],
    } or false
  end
  return limits[name]
end

-- What holders say of themselves: how many slots they have, since when, for whom.
local function holder_of(occupy, owner)
  return string.format('%d %.0f %s', occupy, now_ms(), owner)
end

local function parse_holder(text)
  local occupy, since, owner = string.match(text, '^(%d+) (%d+) (.*)$')
  return tonumber(occupy), tonumber(since), owner
end

local function count_used(name, heavy)
  local key = 'ms:slots:' .. name
  if not heavy then return redis.call('HLEN', key) end
  local used = 0
  for _, text in ipairs(redis.call('HVALS', key)) do used = used + parse_holder(text) end
  return used
end

-- Where each holder has one slot, it is counted once, and then kept in step with what this script does.
local function count_free(name, limit)
  if limit.heavy then return limit.slots - count_used(name, true) end
  limit.used = limit.used or count_used(name)
  return limit.slots - limit.used
end

local function seat(name, id, holder)
  local new, limit = redis.call('HSET', 'ms:slots:' .. name, id, holder), limits[name]
  if limit and limit.used then limit.used = limit.used + new end
end

-- Gives whether any of these held slots of the limit.
local function unseat(name, ids)
  local gone, limit = redis.call('HDEL', 'ms:slots:' .. name, unpack(ids)), limits[name]
  if limit and limit.used then limit.used = limit.used - gone end
  return gone > 0
end

local hand_on

-- Whether a limit lets somebody in. Who comes new does not overtake those that stand in line.
local function has_room(name, limit, occupy, in_line)
  if count_free(name, limit) < occupy then return false end
  local line = 'ms:waiters:' .. name
  if in_line or redis.call('EXISTS', line) == 0 then return true end
  hand_on(name)
  return redis.call('EXISTS', line) == 0 and count_free(name, limit) >= occupy
end

-- Takes slots of all these limits, or of none: nobody holds one while waiting for another.
-- Gives the names of those that count, or nil, the limit in the way and whether it always will be.
local function take(id, names, occupy, owner, in_line)
  local needed, obstacle = {}, nil
  for _, name in ipairs(names) do
    local limit = limit_named(name)
    if limit and limit.holds then
      if occupy > limit.slots then return nil, name, true end
      if not obstacle and not has_room(name, limit, occupy, in_line) then obstacle = name end
      needed[#needed + 1] = name
    end
  end
  if obstacle then return nil, obstacle, false end
  local holder = holder_of(occupy, owner)
  for _, name in ipairs(needed) do
    if occupy > 1 and not limits[name].heavy then
      redis.call('HSET', 'ms:limit:' .. name, 'heavy', '1')
      limits[name].heavy = '1'
    end
    seat(name, id, holder)
  end
  return needed
end

local function drop(id, names)
  for _, name in ipairs(names) do
    if unseat(name, { id }) then touched[name] = true end
  end
end

local function next_arrival()
  return redis.call('HINCRBY', 'ms:counters', 'arrivals', 1)
end

-- Sets a run aside until it is called. It keeps its place in line if it was in one before: that may be the first, with
-- room enough for it, so the line is looked at again.
local function park(id, obstacle)
  local job = 'rq:job:' .. id
  local arrived = redis.call('HGET', job, 'arrived') or next_arrival()
  redis.call('HSET', job, 'status', 'deferred', 'awaits', obstacle, 'arrived', arrived)
  redis.call('ZADD', 'ms:waiters:' .. obstacle, arrived, id)
  touched[obstacle] = true
end

-- Whether a run that was called may go on having the slots that were kept for it: they only get its worker's name. Not
-- so if limits have changed in between.
local function keep(id, names, slots, owner)
  local needed = {}
  for _, name in ipairs(names) do
    local limit = limit_named(name)
    if limit and limit.holds then needed[#needed + 1] = name end
  end
  if table.concat(needed, '\n') ~= slots then return false end
  for _, name in ipairs(needed) do seat(name, id, holder_of(1, owner)) end
  for _, name in ipairs(needed) do
    if count_free(name, limits[name]) < 0 then return false end
  end
  return true
end

-- Lets a run begin that is about to be claimed, or sets it aside.
-- Gives true if it may begin, false if it was set aside, or the name of a limit of 0 that will never let it in.
-- `slots` are those that were kept for it when it was called.
local function admit(id, tags, slots, owner)
  local job, wanted = 'rq:job:' .. id, limits_of_tags(tags)
  if slots then
    unreserved[#unreserved + 1] = id
    if keep(id, wanted, slots, owner) then return true end
    for _, name in ipairs(split(slots)) do unseat(name, { id }) end
  end
  local taken, obstacle, never = take(id, wanted, 1, owner, slots)
  if taken and #taken > 0 then
    local names = table.concat(taken, '\n')
    if names ~= slots then redis.call('HSET', job, 'slots', names) end
  elseif slots then
    redis.call('HDEL', job, 'slots')
    for _, name in ipairs(split(slots)) do touched[name] = true end
  end
  if taken then return true end
  if never then return obstacle end
  park(id, obstacle)
  return false
end

-- The run of which the turn has come gets its slots and goes to its queue, or to the worker that calls the script, if
-- that wants it. One that a limit of 0 will never let in goes to the queue too, to be ended by who takes it. Gives the
-- limit in its way, if there is one.
local function call_run(id, name)
  local job = 'rq:job:' .. id
  local tags, awaits, queue, mode = unpack(redis.call('HMGET', job, 'tags', 'awaits', 'origin', 'mode'))
  if awaits ~= name then return end
  local is_wanted = claim and claim.wants and claim.wants(queue, mode)
  local taken, obstacle, never = take(id, limits_of_tags(tags), 1, is_wanted and claim.owner or '', true)
  if not taken and not never then
    if obstacle ~= name then park(id, obstacle) end
    return obstacle
  end
  redis.call('HDEL', job, 'awaits')
  local slots = taken and #taken > 0 and table.concat(taken, '\n')
  if taken and is_wanted and claim.take(id, queue, slots) then return end
  if slots then
    redis.call('HSET', job, 'status', 'queued', 'slots', slots)
    reserved[#reserved + 1] = now_ms() + RESERVED_MS
    reserved[#reserved + 1] = id
  else
    redis.call('HSET', job, 'status', 'queued')
  end
  add_to(called, queue, id)
end

-- What is kept of code that holds slots ('h') or waits for them ('w').
local function pack_hold(state, hold)
  return table.concat({ state, hold.occupy, hold.lease, hold.label, unpack(hold.names) }, '\n')
end

local function parse_hold(text)
  local parts = split(text)
  return {
    state = parts[1], occupy = tonumber(parts[2]), lease = tonumber(parts[3]), label = parts[4],
    names = { unpack(parts, 5) },
  }
end

local function is_alive(owner)
  local lease = redis.call('ZSCORE', 'ms:leases', owner)
  return lease and tonumber(lease) > now_ms()
end

local function hold(owner, id, wanted, taken)
  wanted.names = taken
  redis.call('HSET', 'ms:holds:' .. owner, id, pack_hold('h', wanted))
  if wanted.lease > 0 then redis.call('ZADD', 'ms:slot-leases', now_ms() + wanted.lease, id .. ' ' .. owner) end
end

-- The same for code: it is told that it has its slots.
local function call_code(id, owner, name)
  local text = is_alive(owner) and redis.call('HGET', 'ms:holds:' .. owner, id)
  if not text or string.sub(text, 1, 1) ~= 'w' then return end
  local wanted = parse_hold(text)
  local taken, obstacle, never = take(id, wanted.names, wanted.occupy, owner, true)
  if not taken and not never then
    if obstacle ~= name then
      local member = id .. ' ' .. owner
      redis.call('ZADD', 'ms:waiters:' .. obstacle, redis.call('ZSCORE', 'ms:waiters:' .. name, member), member)
    end
    return obstacle
  end
  redis.call('HDEL', 'ms:holds:' .. owner, id)
  local holds = taken and #taken > 0
  if holds then hold(owner, id, wanted, taken) end
  notes[owner] = notes[owner] or {}
  table.insert(notes[owner], id .. (holds and 'slot' or 'none'))
end

-- Calls up those at the head of a line for as long as there is room. Nobody overtakes one who needs more than is free.
hand_on = function(name)
  local limit = limit_named(name)
  local is_open = not limit or not limit.holds or limit.slots == 0
  local left = MOST_CALLED
  while left > 0 do
    local room = is_open and left or math.min(count_free(name, limit), left)
    if room <= 0 then return end
    local first, gone, obstacle = redis.call('ZRANGE', 'ms:waiters:' .. name, 0, room - 1), {}, nil
    for _, member in ipairs(first) do
      local id, owner = string.sub(member, 1, 32), string.sub(member, 34)
      if owner == '' then obstacle = call_run(id, name) else obstacle = call_code(id, owner, name) end
      if obstacle == name then break end
      gone[#gone + 1] = member
    end
    call_with('ZREM', 'ms:waiters:' .. name, gone)
    if #first == 0 or obstacle == name then return end
    left = left - #first
  end
  redis.call('SADD', 'ms:lines-to-call', name)
end

-- Ends what code of a process holds, or waits for.
local function let_go(owner, id, text)
  local held = parse_hold(text)
  redis.call('HDEL', 'ms:holds:' .. owner, id)
  if held.state == 'h' then
    drop(id, held.names)
    if held.lease > 0 then redis.call('ZREM', 'ms:slot-leases', id .. ' ' .. owner) end
    return
  end
  for _, name in ipairs(held.names) do
    -- Whoever stood behind it may need less.
    if redis.call('ZREM', 'ms:waiters:' .. name, id .. ' ' .. owner) == 1 then touched[name] = true end
  end
end

local function let_go_all(owner)
  local holds = redis.call('HGETALL', 'ms:holds:' .. owner)
  for i = 1, #holds, 2 do let_go(owner, holds[i], holds[i + 1]) end
end

-- A run is not executed any more: what it had of slots is free.
local function free_run(id)
  local job = 'rq:job:' .. id
  local slots = redis.call('HGET', job, 'slots')
  if not slots then return end
  drop(id, split(slots))
  redis.call('HDEL', job, 'slots')
  redis.call('ZREM', 'ms:slot-leases', id)
end

-- Ends holds and reservations that were not renewed in time.
local function evict_expired()
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', 'ms:slot-leases', '-inf', now_ms(), 'LIMIT', 0, 100)) do
    local id, owner = string.sub(member, 1, 32), string.sub(member, 34)
    redis.call('ZREM', 'ms:slot-leases', member)
    if owner == '' then
      free_run(id)
    else
      local text = redis.call('HGET', 'ms:holds:' .. owner, id)
      if text then let_go(owner, id, text) end
    end
  end
end

-- Ends what processes hold that died, where there is no worker to reap them: those have had time enough to do it.
local function evict_dead()
  local before = now_ms() - REAPED_MS
  for _, owner in ipairs(redis.call('ZRANGEBYSCORE', 'ms:leases', '-inf', before, 'LIMIT', 0, 10)) do
    let_go_all(owner)
    for _, id in ipairs(redis.call('HKEYS', 'ms:held:' .. owner)) do free_run(id) end
  end
end

-- What a script does when it is done with slots: those that became free go to whoever is next.
local function pass_slots_on(is_upkeep)
  local seats = {}
  for _, run in ipairs(leaving) do
    if run.slots then
      unreserved[#unreserved + 1] = run.id
      for _, name in ipairs(split(run.slots)) do
        seats[name] = seats[name] or {}
        table.insert(seats[name], run.id)
      end
    end
    if run.awaits then
      redis.call('ZREM', 'ms:waiters:' .. run.awaits, run.id)
      touched[run.awaits] = true
    end
  end
  for name, ids in pairs(seats) do
    if unseat(name, ids) then touched[name] = true end
  end
  call_with('ZREM', 'ms:slot-leases', unreserved)
  if next(touched) == nil and #called == 0 and next(notes) == nil and not is_upkeep then return end
  local unfinished = redis.call('SPOP', 'ms:lines-to-call')
  if unfinished then touched[unfinished] = true end
  while next(touched) ~= nil do
    local name = next(touched)
    touched[name] = nil
    hand_on(name)
  end
  call_with('ZADD', 'ms:slot-leases', reserved)
  enqueue_all(called, true)
  tell(notes)
  called, notes, reserved, unreserved, leaving = {}, {}, {}, {}, {}
end
