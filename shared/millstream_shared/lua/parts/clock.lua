-- What time it is.

-- The time at which the script began.
local began
local function now_ms()
  if not began then
    local time = redis.call('TIME')
    began = time[1] * 1000 + math.floor(time[2] / 1000)
  end
  return began
end
