-- Takes units of every key if all have them, else none of any. See limiter/mod.rs for the scheme.
--
-- KEYS: one hash each: `n` the newest slot, `o` the oldest one that counts, `u` the units that count, and the units of each
--       slot under its number.
-- ARGV: milliseconds since the epoch, or '' for this server's own clock; the units asked for (0: only look); the number of
--       slots in a window; then limit and length of a slot in milliseconds for each key.
-- Answers for each key: whether it had the units, what is left, milliseconds until something is free.
local now = tonumber(ARGV[1])
if not now then
    local time = redis.call('TIME')
    now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local cost, slots = tonumber(ARGV[2]), tonumber(ARGV[3])

-- The short way: one key, known in this very slot, with nothing to forget and room for the call. What is written are texts
-- that came in as such, because a number that Lua hands over is printed digit by digit.
if #KEYS == 1 and cost > 0 then
    local key, limit, length = KEYS[1], tonumber(ARGV[4]), tonumber(ARGV[5])
    local head = redis.pcall('HMGET', key, 'n', 'o', 'u')
    local newest, oldest, used = tonumber(head[1]), tonumber(head[2]), tonumber(head[3])
    local slot = math.floor(now / length)
    if newest == slot and oldest and used and slot - oldest <= slots and used + cost <= limit then
        redis.call('HINCRBY', key, head[1], ARGV[2])
        redis.call('HINCRBY', key, 'u', ARGV[2])
        return { 1, limit - used - cost, (oldest + slots + 1) * length - now }
    end
end

-- The slots of a key with their units, oldest first.
local function entries(key)
    local flat, list = redis.call('HGETALL', key), {}
    for i = 1, #flat, 2 do
        local slot = tonumber(flat[i])
        if slot then list[#list + 1] = { slot = slot, units = tonumber(flat[i + 1]) } end
    end
    table.sort(list, function(a, b) return a.slot < b.slot end)
    return list
end

local books, all_fit = {}, true
for i, key in ipairs(KEYS) do
    local limit, length = tonumber(ARGV[2 + 2 * i]), tonumber(ARGV[3 + 2 * i])
    local slot = math.floor(now / length)
    local head = redis.pcall('HMGET', key, 'n', 'o', 'u')
    if head.err then
        -- Somebody put something else here. It must neither open the limit for good nor close it.
        redis.call('DEL', key)
        head = {}
    end
    local newest, oldest, used = tonumber(head[1]) or slot, tonumber(head[2]) or slot, tonumber(head[3]) or 0
    if newest > slot then
        -- The clock went back: everything counts from now on anew, see limiter/memory.rs.
        redis.call('DEL', key)
        redis.call('HSET', key, 'n', slot, 'o', slot, 'u', used, slot, used)
        redis.call('PEXPIRE', key, 2 * slots * length)
        newest, oldest = slot, slot
    elseif slot - oldest > slots then
        local first = nil
        for _, entry in ipairs(entries(key)) do
            if slot - entry.slot > slots then
                redis.call('HDEL', key, entry.slot)
                used = used - entry.units
            elseif not first then
                first = entry.slot
            end
        end
        oldest = first or slot
        redis.call('HSET', key, 'o', oldest, 'u', used)
    end
    local fits = cost == 0 or used + cost <= limit
    all_fit = all_fit and fits
    books[i] = { key = key, limit = limit, length = length, slot = slot, fits = fits, newest = newest, oldest = oldest, used = used, known = head[3] }
end

local reply = {}
for _, book in ipairs(books) do
    local free_at = (book.oldest + slots + 1) * book.length
    if all_fit and cost > 0 then
        book.used = book.used + cost
        redis.call('HINCRBY', book.key, book.slot, cost)
        redis.call('HSET', book.key, 'n', book.slot, 'o', book.oldest, 'u', book.used)
        if book.newest ~= book.slot or not book.known then
            redis.call('PEXPIRE', book.key, 2 * slots * book.length)
        end
    elseif not book.fits then
        local used = book.used
        free_at = (book.slot + slots + 1) * book.length
        for _, entry in ipairs(entries(book.key)) do
            used = used - entry.units
            free_at = (entry.slot + slots + 1) * book.length
            if used + cost <= book.limit then break end
        end
    elseif book.used == 0 then
        free_at = now
    end
    reply[#reply + 1] = book.fits and 1 or 0
    reply[#reply + 1] = math.max(0, book.limit - book.used)
    reply[#reply + 1] = math.max(0, free_at - now)
end
return reply
