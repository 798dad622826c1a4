-- How an inbox follows a run that another process submitted.
-- uses: news, liveness
-- gives: follow, tell

-- Has an inbox told of the end of a run: when it comes, or, if it has come, with what `tell` sends. Gives whether there
-- is such a run.
local function follow(id, inbox, told)
  if is_live(id) then
    redis.call('SADD', 'ms:dependents:' .. id, '@' .. inbox)
    redis.call('HSET', 'rq:job:' .. id, 'dependents', '1')
    return true
  end
  local record = redis.call('HGET', tree(id), id)
  if not has_ended(record) then return false end
  add_news(told, inbox, id, record)
  return true
end
