-- Adds a session to its account's list; gives the names of those that have to go because there are too many.
-- What may need memory comes first, so that a full Redis refuses the whole.
-- KEYS: the list. ARGV: the session, until when it lives in ms of Redis' clock, the most of a list.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
if last[2] then redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', tonumber(last[2]))) end
return redis.call('ZRANGE', KEYS[1], 0, -1 - tonumber(ARGV[3]))
