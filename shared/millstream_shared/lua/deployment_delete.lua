-- Deletes a deployment, if the one of that name still has that id.
-- ARGV: full name, id
-- also when memory is full
local kept = redis.call('HGET', 'ms:deployments', ARGV[1])
if not kept or string.match(kept, '^%S+') ~= ARGV[2] then return 0 end
redis.call('HDEL', 'ms:deployments', ARGV[1])
redis.call('HDEL', 'ms:deployment-ids', ARGV[2])
redis.call('HINCRBY', 'ms:counters', 'deployments', 1)
return 1
