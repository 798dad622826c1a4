-- Reserves slots that come back with time, and says how long to wait for them; takes none if that is too long.
-- What is kept of such a limit is only when all of its slots will be back: with `limit` slots and `decay` a second, a
-- slot that is taken moves that moment by 1 / decay seconds, and waits until it is no more than limit / decay away.
-- ARGV: how many of each (negative: give back what was not used), the longest wait in milliseconds or '', '1' if all
--       limits have to exist, names...
-- Gives: 'taken' or 'late', with the milliseconds to wait; 'never', 'steady' or 'missing', with the limit that it is
-- about; then the names of which there is no limit.
-- also when memory is full
local occupy, longest, strict = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3] == '1'
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local missing, taken, wait = {}, {}, 0
for i = 4, #ARGV do
  local name = ARGV[i]
  local found = redis.call('HMGET', 'ms:limit:' .. name, 'limit', 'active', 'decay')
  local slots, decay = tonumber(found[1]), tonumber(found[3])
  if not slots then
    missing[#missing + 1] = name
  elseif found[2] == '1' then
    if decay == 0 then return { 'steady', name, missing } end
    if occupy > slots then return { 'never', name, missing } end
    local back = math.max(tonumber(redis.call('GET', 'ms:bucket:' .. name) or 0), now) + occupy / decay * 1000
    taken[#taken + 1] = { name, back }
    wait = math.max(wait, back - now - slots / decay * 1000)
  end
end
if strict and #missing > 0 then return { 'missing', missing[1], missing } end
wait = math.ceil(wait)
if longest and wait > longest then return { 'late', wait, missing } end
for _, each in ipairs(taken) do
  local left = math.ceil(each[2] - now)
  if left > 0 then
    redis.call('SET', 'ms:bucket:' .. each[1], string.format('%.3f', each[2]), 'PX', left)
  else
    redis.call('DEL', 'ms:bucket:' .. each[1])
  end
end
return { 'taken', wait, missing }
