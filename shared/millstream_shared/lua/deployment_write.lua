-- Makes a deployment, or puts it in place of the one of that name, which keeps its id and when it was made.
-- ARGV: full name, an id for a new one, whether it is paused ('': as it was), revision it must have ('any'), JSON
-- Gives what is kept: a line with id, created, updated (s), revision and paused, then the JSON; false if it had to be,
-- and is not, of that revision.
-- also when memory is full
local name, id, paused, expected = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local now = redis.call('TIME')
local moment = string.format('%d.%06d', now[1], now[2])
local created, revision = moment, 0
local kept = redis.call('HGET', 'ms:deployments', name)
if kept then
  local was
  id, created, revision, was = string.match(kept, '^(%S+) (%S+) %S+ (%d+) (%d)\n')
  if paused == '' then paused = was end
elseif paused == '' then
  paused = '0'
end
if expected ~= 'any' and (not kept or revision ~= expected) then return false end
local head = table.concat({ id, created, moment, string.format('%d', revision + 1), paused }, ' ')
local text = head .. '\n' .. ARGV[5]
redis.call('HSET', 'ms:deployments', name, text)
redis.call('HSET', 'ms:deployment-ids', id, name)
redis.call('HINCRBY', 'ms:counters', 'deployments', 1)
return text
