-- Records how runs ended, if the worker that says so still holds them, and hands on what waited for them.
-- ARGV: owner, retention in seconds, then for each run: id, attempt, record
-- Gives the ids that were refused: another worker had taken them over, or they are flow runs that can only be Cancelled.
-- also when memory is full
-- may use slots.lua
local owner, retention = ARGV[1], ARGV[2]
local held = 'ms:held:' .. owner
local ids, ended, settled, refused, told, freed = {}, {}, {}, {}, {}, {}
local lost = 0
for i = 3, #ARGV, 3 do ids[#ids + 1] = ARGV[i] end
local attempts = redis.call('HMGET', held, unpack(ids))
for i, id in ipairs(ids) do
  local attempt, record = ARGV[3 * i + 1], ARGV[3 * i + 2]
  if must_stop(id, record) then
    refused[#refused + 1] = id
  elseif attempts[i] == attempt then
    settled[#settled + 1] = id
    ended[#ended + 1] = id
    ended[#ended + 1] = record
  elseif redis.call('HGET', tree(id), id) ~= record then
    -- Equal bytes mean that this very call was made before and only its answer was lost.
    refused[#refused + 1] = id
    lost = lost + 1
  end
end
if #settled > 0 then redis.call('HDEL', held, unpack(settled)) end
finish(ended, retention, told, freed)
if lost > 0 then redis.call('HINCRBY', 'ms:counters', 'refused', lost) end
enqueue_again(freed)
if #leaving > 0 then slots().pass_slots_on() end
tell(told)
return refused
