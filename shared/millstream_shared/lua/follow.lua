-- Has an inbox told of the end of a run that another process submitted.
-- ARGV: run id, inbox   Gives 1, or 0 if there is no such run, or not any more.
-- also when memory is full
local id, inbox = ARGV[1], ARGV[2]
if not is_live(id) then return 0 end
redis.call('SADD', 'ms:dependents:' .. id, '@' .. inbox)
redis.call('HSET', 'rq:job:' .. id, 'dependents', '1')
return 1
