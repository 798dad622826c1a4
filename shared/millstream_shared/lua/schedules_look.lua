-- Takes or prolongs the lease of the one who fires schedules, and shows that one what is to be done.
-- ARGV: owner, how long the lease lasts (ms), the time in ms ('': the server's), how many that are due to give
-- Gives how long another one's lease still lasts (ms); or 0, the time (ms), a number that is another one after any
-- change of deployments, when the first schedule fires (ms, or ''), and those that are due: member, score, ...
-- also when memory is full
-- uses: clock
local holder = redis.call('GET', 'ms:scheduler')
if holder and holder ~= ARGV[1] then
  return { math.max(redis.call('PTTL', 'ms:scheduler'), 1) }
end
redis.call('SET', 'ms:scheduler', ARGV[1], 'PX', ARGV[2])
local now = tonumber(ARGV[3]) or now_ms()
local first = redis.call('ZRANGE', 'ms:schedules', 0, 0, 'WITHSCORES')
local due = {}
if first[2] and tonumber(first[2]) <= now then
  due = redis.call('ZRANGEBYSCORE', 'ms:schedules', '-inf', string.format('%d', now), 'WITHSCORES', 'LIMIT', 0, ARGV[4])
end
local changes = redis.call('HGET', 'ms:counters', 'deployments') or '0'
return { 0, string.format('%d', now), changes, first[2] or '', due }
