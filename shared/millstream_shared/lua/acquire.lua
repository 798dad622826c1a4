-- Takes slots of limits for code of a process, of all or of none, or has it stand in line for them.
-- ARGV: owner, id, how many of each, lease in milliseconds (0: as long as the owner's), label, '1' if all limits have to
--       exist, '1' to stand in line, names...
-- Gives: 'taken', 'waits', 'full', 'never' or 'missing'; the limit that it is about, or ''; the names of which there is
-- no limit; the names of limits whose slots come back with time, of which none was taken; 1 if
--        something is held now
-- also when memory is full
-- uses: slots
local owner, id = ARGV[1], ARGV[2]
local wanted = { occupy = tonumber(ARGV[3]), lease = tonumber(ARGV[4]), label = ARGV[5], names = { unpack(ARGV, 8) } }
local strict, may_wait = ARGV[6] == '1', ARGV[7] == '1'
if not redis.call('ZSCORE', 'ms:leases', owner) then return redis.error_reply('LEASELOST ' .. owner) end
local missing, decaying = {}, {}
for _, name in ipairs(wanted.names) do
  local limit = limit_named(name)
  if not limit then missing[#missing + 1] = name elseif limit.decays then decaying[#decaying + 1] = name end
end
if strict and #missing > 0 then return { 'missing', missing[1], missing, decaying, 0 } end

-- Where it stands if this very call was made before and only its answer was lost.
local before = redis.call('HGET', 'ms:holds:' .. owner, id)
if before then
  local holds = string.sub(before, 1, 1) == 'h'
  return { holds and 'taken' or 'waits', '', missing, decaying, holds and 1 or 0 }
end

local taken, obstacle, never = take(id, wanted.names, wanted.occupy, owner)
if not taken and not never then
  evict_expired()
  evict_dead()
  pass_slots_on()
  taken, obstacle, never = take(id, wanted.names, wanted.occupy, owner)
end
local verdict = taken and 'taken' or never and 'never' or may_wait and 'waits' or 'full'
if taken and #taken > 0 then
  hold(owner, id, wanted, taken)
elseif verdict == 'waits' then
  redis.call('HSET', 'ms:holds:' .. owner, id, pack_hold('w', wanted))
  redis.call('ZADD', 'ms:waiters:' .. obstacle, next_arrival(), id .. ' ' .. owner)
end
return { verdict, obstacle or '', missing, decaying, taken and #taken > 0 and 1 or 0 }
