-- Who holds slots of a limit, and who waits for one, the next first; at most 1,000 of each.
-- ARGV: name
-- Gives holders: id, what it is, owner, slots, since when (ms), lease left (ms); then waiters: id, what it is, owner, slots
-- uses: slots
local now = now_ms()

local function describe(id, owner)
  local text = owner ~= '' and redis.call('HGET', 'ms:holds:' .. owner, id)
  if text then
    local known = parse_hold(text)
    return known.label, known.occupy
  end
  return redis.call('HGET', 'rq:job:' .. id, 'description') or '', 1
end

local function lease_left(id, owner)
  local ends = tonumber(redis.call('ZSCORE', 'ms:leases', owner) or now)
  local own = redis.call('ZSCORE', 'ms:slot-leases', owner == '' and id or id .. ' ' .. owner)
  if owner == '' then ends = tonumber(own or now) elseif own then ends = math.min(ends, tonumber(own)) end
  return math.max(ends - now, 0)
end

local holders, waiters = {}, {}
local slots = redis.call('HGETALL', 'ms:slots:' .. ARGV[1])
for i = 1, math.min(#slots, 2000), 2 do
  local occupy, since, owner = parse_holder(slots[i + 1])
  holders[#holders + 1] = { slots[i], (describe(slots[i], owner)), owner, occupy, since, lease_left(slots[i], owner) }
end
for _, member in ipairs(redis.call('ZRANGE', 'ms:waiters:' .. ARGV[1], 0, 999)) do
  local id, owner = string.sub(member, 1, 32), string.sub(member, 34)
  local label, occupy = describe(id, owner)
  waiters[#waiters + 1] = { id, label, owner, occupy }
end
return { holders, waiters }
