-- Points in time as RQ writes them.

-- Now: `2026-11-28T09:30:00.000001Z`. Years are counted from March here, so that the day which some of them lack is the
-- last one; in 400 years there are 146,097 days.
local function rq_now()
  local time = redis.call('TIME')
  local seconds, floor = tonumber(time[1]), math.floor
  local day = floor(seconds / 86400) + 719468
  local era = floor(day / 146097)
  local of_era = day - era * 146097
  local year = floor((of_era - floor(of_era / 1460) + floor(of_era / 36524) - floor(of_era / 146096)) / 365)
  local of_year = of_era - 365 * year - floor(year / 4) + floor(year / 100)
  local month = floor((5 * of_year + 2) / 153)
  local of_month = of_year - floor((153 * month + 2) / 5) + 1
  year, month = year + era * 400 + (month < 10 and 0 or 1), month < 10 and month + 3 or month - 9
  return string.format('%d-%02d-%02dT%02d:%02d:%02d.%06dZ', year, month, of_month,
    floor(seconds / 3600) % 24, floor(seconds / 60) % 60, seconds % 60, time[2])
end
