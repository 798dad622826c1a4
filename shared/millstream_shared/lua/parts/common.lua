-- What nearly all scripts need: what an id says of its run, and long calls.

local function tree(id)
  return 'ms:runs:' .. string.sub(id, 1, 12)
end

local function is_flow(id)
  return string.sub(id, 17, 17) == 'a'
end

-- Calls a command with a list of values, a thousand at a time: more than some thousands Lua cannot pass on.
local function call_with(command, key, values)
  for first = 1, #values, 1000 do
    redis.call(command, key, unpack(values, first, math.min(first + 999, #values)))
  end
end
