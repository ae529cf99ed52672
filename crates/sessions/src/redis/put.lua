-- Keeps a session; says until when, in ms of Redis' clock.
-- What may need memory comes first, so that a full Redis refuses the whole.
-- KEYS: the session. ARGV: idle and total time in ms, then its fields and their values.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local ends = string.format('%.0f', now + tonumber(ARGV[2]))
redis.call('HSET', KEYS[1], 'idle', ARGV[1], 'until', ends)
for place = 3, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[place], ARGV[place + 1]) end
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.min(tonumber(ARGV[1]), tonumber(ARGV[2]))))
return ends
