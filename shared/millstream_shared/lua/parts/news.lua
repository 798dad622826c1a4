-- How processes are told of the ends of runs: each has an inbox.
-- uses: common

-- Has an inbox told of a run that has ended. A small record goes along, and need not be asked for; it is a copy of what
-- never changes again.
local function add_news(told, inbox, id, record)
  told[inbox] = told[inbox] or {}
  table.insert(told[inbox], #record <= 4096 and id .. record or id)
end

local function tell(told)
  for inbox, news in pairs(told) do
    local key = 'ms:inbox:' .. inbox
    call_with('RPUSH', key, news)
    redis.call('EXPIRE', key, 3600)
  end
end
