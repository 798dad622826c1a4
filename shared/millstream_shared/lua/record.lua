-- Writes the records of runs that a process executes by itself. The record of a run that has ended never changes.
-- ARGV: owner, retention in seconds, then for each run: id, record, 'h' to hold it under the owner's lease or '' not to
-- Gives the ids that were refused.
-- also when memory is full
local owner, retention = ARGV[1], ARGV[2]
local held = 'ms:held:' .. owner
local refused, trees = {}, {}
for i = 3, #ARGV, 3 do
  local id, record, hold = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local key = tree(id)
  local before = redis.call('HGET', key, id)
  if has_ended(before) then
    if before ~= record then refused[#refused + 1] = id end
  else
    redis.call('HSET', key, id, record)
    trees[key] = true
    if hold == 'h' then redis.call('HSET', held, id, '1') end
  end
  if has_ended(record) then redis.call('HDEL', held, id) end
end
for key in pairs(trees) do redis.call('EXPIRE', key, retention) end
return refused
