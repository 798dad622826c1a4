-- Forgets when schedules fire: once they can fire again, it is from then on.
-- ARGV: what the members begin with, ...
-- also when memory is full
for _, member in ipairs(redis.call('ZRANGE', 'ms:schedules', 0, -1)) do
  for _, begin in ipairs(ARGV) do
    if string.sub(member, 1, #begin) == begin then
      redis.call('ZREM', 'ms:schedules', member)
      break
    end
  end
end
