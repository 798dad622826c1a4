-- What nearly all scripts need: the time, long calls, what an id and a record say of a run.

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

-- Whether a run is still to be executed: it has a job, and not one that is only kept for a look at what went wrong.
local function is_live(id)
  return redis.call('HEXISTS', 'rq:job:' .. id, 'payload') == 1
end
