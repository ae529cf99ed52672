-- Whether an attempt to log in may go on: 0, or how many milliseconds it has to wait.
-- KEYS: what is remembered of the address. ARGV: account, nonce, free failures, window in ms, failures of the address,
-- attempts under way, how long one is under way in ms, wait for those in ms.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local account, nonce = ARGV[1], ARGV[2]
local free, window, address_max = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local under_way_max, attempt_max, soon = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local count, began, under_way, of_account = 0, 0, 0, 0
local failures, until_time, known = 0, 0, false
local gone = {}
local fields = redis.call('HGETALL', KEYS[1])
for place = 1, #fields, 2 do
  local name, value = fields[place], fields[place + 1]
  local kind = string.sub(name, 1, 2)
  if name == 'count' then
    count = tonumber(value)
  elseif name == 'began' then
    began = tonumber(value)
  elseif kind == 'p:' then
    local whose, expires = string.match(value, '^(%x+):(%d+)$')
    if tonumber(expires) <= now then
      gone[#gone + 1] = name
    else
      under_way = under_way + 1
      if whose == account then of_account = of_account + 1 end
      if name == 'p:' .. nonce then known = true end
    end
  elseif kind == 'a:' then
    local n, last, ends = string.match(value, '^(%d+):(%d+):(%d+)$')
    if tonumber(last) + window <= now and tonumber(ends) <= now then
      gone[#gone + 1] = name
    elseif name == 'a:' .. account then
      failures, until_time = tonumber(n), tonumber(ends)
    end
  end
end
if began > 0 and began + window <= now then
  count = 0
  gone[#gone + 1] = 'count'
  gone[#gone + 1] = 'began'
end
for _, name in ipairs(gone) do redis.call('HDEL', KEYS[1], name) end
if known then return 0 end
if until_time > now then return until_time - now end
if count >= address_max then return began + window - now end
if (failures >= math.max(free, 1) and of_account > 0) or under_way >= under_way_max then return soon end
redis.call('HSET', KEYS[1], 'p:' .. nonce, account .. ':' .. string.format('%.0f', now + attempt_max))
if redis.call('PTTL', KEYS[1]) < attempt_max then redis.call('PEXPIRE', KEYS[1], attempt_max) end
return 0
