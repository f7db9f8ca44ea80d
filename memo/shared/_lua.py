"""The programs that the server runs, each one atomic.

Invariants, kept by these texts together

- A value begins with the generations of its function and tags as they were when its load began, joined by commas.  It
  is handed out only while they are equal to the present ones; else it is deleted.  A generation is an id that was never
  there before (random, so that no clock counts); one that is missing is made anew, and what was stored before is gone.
- A lease holds the token of whom it was granted to, a sign whether somebody waits (``+``) or not (``-``), and the
  generations that it was granted under.  There is one at most, so one process at most may store what it loads: a store
  is refused once the lease is gone, another's, or of generations that have passed.  A lease of such is no hindrance.
- Whatever makes a running load void (drop, bump, put, newer) either deletes its lease or changes a generation.
- Each message has the next number of one counter, and the counter's epoch; a counter that is missing begins anew under
  another epoch.
- What is asked, and what is said of changes, names the latest message that its process knows (of those it has read, and
  those it has said).  A server whose log does not have that does nothing, and says so: a replica that was promoted
  without it has values that were changed, under generations that count.  Since a replica has all that was written
  before anything that it has, one message stands for all before it.
- What was lost is found out by each process for itself, and has the generation of all values changed, and the epoch,
  once for each message that is missed.  So no value of before is handed out any more, by whichever way.
- What is found under our names is not trusted: a key of another type, a value or lease without an end, or with a header
  that cannot be read, counts as missing, and is replaced or deleted.  What could not be looked at, since a command is
  denied, say, counts as nothing: the script ends with that error.

- What is invalidated is so on a server that is full, too: a script may write all that it has to, once it has deleted
  something, even nothing.

Keys are declared, and commands are those of Redis 6.0.  An error in the middle leaves nothing that the next call would
not mend: a script first changes what may be done twice, and speaks last.
"""

from hashlib import sha1
from typing import NamedTuple

__all__ = ("ASK", "BUMP", "DAY_MS", "DROP", "RELEASE", "RENEW", "STORE", "WHERE", "Script")

DAY_MS = 86_400_000
"""How long a generation that was made anew, or is needed still, is kept at least: longer than any load runs."""


class Script(NamedTuple):
    """A program for the server, and the name that it has there."""

    text: bytes
    name: bytes
    """Its SHA-1, in hex digits."""


def _script(*parts: str) -> Script:
    text = "\n".join(part.strip("\n") for part in parts).replace("DAY_MS", str(DAY_MS)).encode()
    return Script(text, sha1(text, usedforsecurity=False).hexdigest().encode())


# What a command answers, or false if it finds nothing, or something of another type; any other error ends the script.
_FOUND = """
local function found(...)
  local answer = redis.pcall(...)
  if type(answer) ~= 'table' or not answer.err then return answer end
  if string.find(answer.err, 'WRONGTYPE') then return false end
  return redis.call(...)
end
"""

# The generations under KEYS[first] to KEYS[last]; those that are missing are made anew as `fresh`, unless that is ''.
_GENERATIONS = """
local function generations(first, last, fresh)
  local all = {}
  for i = first, last do
    local one = found('GET', KEYS[i])
    if not one or not string.find(one, '^%x+$') then
      one = fresh
      if fresh ~= '' then redis.call('SET', KEYS[i], one, 'PX', DAY_MS) end
    end
    all[#all + 1] = one
  end
  return table.concat(all, ',')
end
"""

# The lease at `key`: token, whether somebody waits, generations.  One that would never end counts as none.
_LEASE = """
local function lease(key)
  local text = found('GET', key)
  if not text then return false end
  local token, sign, under = string.match(text, '^(%x+)([+-])(.*)$')
  if not token or redis.call('PTTL', key) < 0 then return false end
  return token, sign == '+', under
end
"""

# Whether the log has the message `known`, a position and a sender; '' counts as had.  Most often it is the latest.
_HAS = """
local function has(log, sequence, known)
  if known == '' or found('HGET', sequence, 'p') == known then return true end
  local at, sender = string.match(known, '^(%d+%-%d+) (.*)$')
  local there = at and found('XREVRANGE', log, at, at)
  return there and there[1] and there[1][2][6] == sender
end
"""

# Appends a message; its position and its number, or an error.  A log or counter of another type is begun anew, as one
# that is missing is.
_SAY = """
local function say(log, sequence, size, sender, fresh, kind, called, digests)
  local epoch = found('HGET', sequence, 'e')
  if not epoch then
    redis.call('DEL', sequence)
    redis.call('HSET', sequence, 'e', fresh, 'n', 0)
    epoch = fresh
  end
  local n = redis.pcall('HINCRBY', sequence, 'n', 1)
  if type(n) == 'table' then
    if not string.find(n.err, 'is not an integer') and not string.find(n.err, 'would overflow') then return n end
    redis.call('HSET', sequence, 'e', fresh, 'n', 1)
    epoch, n = fresh, 1
  end
  local function add()
    return redis.pcall('XADD', log, 'MAXLEN', '~', size, '*', 'n', n, 'e', epoch, 's', sender, 'k', kind, 'f', called,
      'd', digests)
  end
  local added = add()
  if type(added) == 'table' and string.find(added.err, 'WRONGTYPE') then
    redis.call('DEL', log)
    added = add()
  end
  if type(added) ~= 'table' then redis.call('HSET', sequence, 'p', added .. ' ' .. sender) end
  return added, n
end
"""

# Has the generation at `key` be another one.
_RENEWED = """
local function renewed(key, fresh)
  local left = redis.call('PTTL', key)
  if left < DAY_MS then left = DAY_MS end
  redis.call('DEL', key)
  redis.call('SET', key, fresh, 'PX', left)
end
"""

# KEYS: value, lease, log, sequence, generations...
# ARGV: token ('': look only, and change nothing), lease_ms, max_value, newer, tell_done, unreadable,
#   fresh ('' with ''), known
ASK = _script(
    _FOUND,
    _HAS,
    _GENERATIONS,
    _LEASE,
    """
if not has(KEYS[3], KEYS[4], ARGV[8]) then return {'lost'} end
local now = generations(5, #KEYS, ARGV[7])
local value, left, large = false, -2, 0
local size = found('STRLEN', KEYS[1]) or 0
if size > tonumber(ARGV[3]) then
  large = 1
elseif size > 0 then
  value = redis.call('GET', KEYS[1])
  left = redis.call('PTTL', KEYS[1])
  local under, stale_ms = string.match(value, '^([%x,]*) %d+ (%d+) ')
  if under ~= now or left < 0 or (ARGV[6] ~= '' and redis.sha1hex(value) == ARGV[6]) then
    if ARGV[1] ~= '' then redis.call('DEL', KEYS[1]) end
    value, left = false, -2
  elseif left > tonumber(stale_ms) and ARGV[4] == '' then
    return {'value', value, left}
  end
end
if ARGV[1] == '' then return {'granted', '', value, left, large} end
local token, waited, under = lease(KEYS[2])
if token and token ~= ARGV[1] and under == now and ARGV[4] == '' then
  local ms = redis.call('PTTL', KEYS[2])
  if ARGV[5] ~= '' and not waited then
    redis.call('SET', KEYS[2], token .. '+' .. under, 'KEEPTTL')
  end
  return {'busy', ms}
end
redis.call('SET', KEYS[2], ARGV[1] .. (waited and '+' or '-') .. now, 'PX', ARGV[2])
return {'granted', now, value, left, large}
""",
)

# KEYS: value, lease, log, sequence, generations...
# ARGV: token or '', generations, data, life_ms, size, sender, fresh, called, digest, tell_drop, known
STORE = _script(
    _FOUND,
    _HAS,
    _GENERATIONS,
    _LEASE,
    _SAY,
    """
if ARGV[10] ~= '' and not has(KEYS[3], KEYS[4], ARGV[11]) then return 'lost' end
local token, waited = lease(KEYS[2])
if ARGV[1] ~= '' and token ~= ARGV[1] then
  -- what lies there is from before both loads: whoever was refused has seen something newer
  if token then redis.call('DEL', KEYS[1]) end
  return 0
end
local now = generations(5, #KEYS, ARGV[7])
local stored = 1
if ARGV[1] ~= '' and now ~= ARGV[2] then
  stored = 0
else
  redis.call('SET', KEYS[1], now .. ARGV[3], 'PX', ARGV[4])
  local needed = tonumber(ARGV[4]) + DAY_MS
  for i = 5, #KEYS do
    local left = redis.call('PTTL', KEYS[i])
    if left >= 0 and left < needed then redis.call('PEXPIRE', KEYS[i], needed + DAY_MS) end
  end
end
redis.call('DEL', KEYS[2])
local said = stored
if stored == 1 and ARGV[10] ~= '' then
  return (say(KEYS[3], KEYS[4], ARGV[5], ARGV[6], ARGV[7], 'drop', ARGV[8], ARGV[9]))
elseif waited then
  said = say(KEYS[3], KEYS[4], ARGV[5], ARGV[6], ARGV[7], 'done', ARGV[8], ARGV[9])
end
if type(said) == 'table' then return said end
return stored
""",
)

# KEYS: log, sequence, values and leases...
# ARGV: size, sender, fresh, called, digests, known
DROP = _script(
    _FOUND,
    _HAS,
    _SAY,
    """
if not has(KEYS[1], KEYS[2], ARGV[6]) then return 'lost' end
for i = 3, #KEYS do redis.call('DEL', KEYS[i]) end
return (say(KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3], 'drop', ARGV[4], ARGV[5]))
""",
)

# KEYS: log, sequence, generation
# ARGV: size, sender, fresh, called, digests, kind, known
BUMP = _script(
    _FOUND,
    _HAS,
    _SAY,
    _RENEWED,
    """
if not has(KEYS[1], KEYS[2], ARGV[7]) then return 'lost' end
renewed(KEYS[3], ARGV[3])
return (say(KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3], ARGV[6], ARGV[4], ARGV[5]))
""",
)

# KEYS: log, sequence, lease
# ARGV: size, sender, fresh, called, digest, token
RELEASE = _script(
    _FOUND,
    _LEASE,
    _SAY,
    """
local token, waited = lease(KEYS[3])
if token ~= ARGV[6] then return 0 end
redis.call('DEL', KEYS[3])
local said = 1
if waited then said = say(KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3], 'done', ARGV[4], ARGV[5]) end
if type(said) == 'table' then return said end
return 1
""",
)

# KEYS: leases...
# ARGV: ms, tokens...
RENEW = _script(
    _FOUND,
    _LEASE,
    """
local kept = {}
for i = 1, #KEYS do
  kept[i] = 0
  if lease(KEYS[i]) == ARGV[i + 1] then
    redis.call('PEXPIRE', KEYS[i], ARGV[1])
    kept[i] = 1
  end
end
return kept
""",
)

# KEYS: log, sequence, generation of all values
# ARGV: fresh, prove, known, is_told, size, sender
WHERE = _script(
    _FOUND,
    _HAS,
    _SAY,
    _RENEWED,
    """
-- whether the message was trimmed, by all appearances, and not lost
local function is_trimmed(known)
  local at, part = string.match(known, '^(%d+)%-(%d+)')
  local read = found('XREAD', 'COUNT', 1, 'STREAMS', KEYS[1], '0-0')
  local first = read and read[1] and read[1][2][1]
  if not first then return false end
  local from, of = string.match(first[1], '^(%d+)%-(%d+)')
  at, part, from, of = tonumber(at), tonumber(part), tonumber(from), tonumber(of)
  return at < from or (at == from and part < of)
end
local epoch = found('HGET', KEYS[2], 'e')
local n = epoch and found('HGET', KEYS[2], 'n')
if not n or not string.find(n, '^%d+$') then
  redis.call('DEL', KEYS[2])
  redis.call('HSET', KEYS[2], 'e', ARGV[1], 'n', 0)
  epoch, n = ARGV[1], '0'
elseif ARGV[2] ~= '' then
  redis.call('HINCRBY', KEYS[2], 'n', 0)
end
local lost = 0
if not has(KEYS[1], KEYS[2], ARGV[3]) then
  lost = 1
  local mark, before = ',' .. ARGV[3] .. ',', found('HGET', KEYS[2], 'v') or ''
  if not string.find(before, mark, 1, true) and (ARGV[4] ~= '' or not is_trimmed(ARGV[3])) then
    renewed(KEYS[3], ARGV[1])
    redis.call('HSET', KEYS[2], 'e', ARGV[1], 'v', string.sub(mark .. before, 1, 1000))
    local at, number = say(KEYS[1], KEYS[2], ARGV[5], ARGV[6], ARGV[1], 'all', '', '')
    if type(at) == 'table' then return at end
    epoch, n = ARGV[1], tostring(number)
  end
end
local latest = found('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
if not latest then
  redis.call('DEL', KEYS[1])
  latest = {}
end
local at, sender = '0-0', ''
if latest[1] then at, sender = latest[1][1], latest[1][2][6] or '' end
return {epoch, n, at, sender, lost}
""",
)
