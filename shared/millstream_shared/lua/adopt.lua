-- Notes that a flow run was begun within another one.
-- ARGV: id of the flow run around it, its own id, retention in seconds
local key = 'ms:subflows:' .. string.sub(ARGV[1], 1, 12)
redis.call('SADD', key, ARGV[2])
redis.call('EXPIRE', key, ARGV[3])
return 1
