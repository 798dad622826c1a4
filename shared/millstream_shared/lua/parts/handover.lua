-- What parts leave for each other.

-- What the script takes for the worker that calls it, where that asks for runs: see `claiming.lua`.
local claim

-- Ended runs that had slots of limits, or waited for one: `pass_slots_on` goes on with them.
local leaving = {}
