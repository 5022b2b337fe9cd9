-- A dissector for the Multi Destination Application Layer Protocol, for Wireshark and
-- tshark 3.6 or newer.
--
--   tshark -X lua_script:wireshark/mdalp.lua -r capture.pcapng -O mdalp
--
-- or copy it to the folder of personal Lua plugins (Help, About Wireshark, Folders).
--
-- It takes UDP datagrams that begin with "Type:<digits>;", or as a short segment does,
-- whatever their ports, and all of port 4650. Segments and their acknowledgements are matched per client, receiver and
-- transaction, those of the extended protocol by NUM; "Acked in" is known once the whole
-- capture has been read: Wireshark does so, tshark with -2. A sealed transaction is told from
-- outside: with which key it began, and which datagrams are its. What is in them is not
-- opened; mdalp decode does so with a key log.

local mdalp = Proto("mdalp", "Multi Destination Application Layer Protocol")

local types = {
	[0] = "Intent", [1] = "Offer", [2] = "Data", [3] = "Ack", [4] = "Manifest", [5] = "State",
}

local f = {
	type = ProtoField.uint8("mdalp.type", "Type", base.DEC, types),
	-- Numbers go up to 2^63-1.
	tid = ProtoField.uint64("mdalp.tid", "Transaction", base.DEC),
	seq = ProtoField.uint64("mdalp.seq", "Sequence number", base.DEC),
	num = ProtoField.uint64("mdalp.num", "Number of the transmission", base.DEC),
	data = ProtoField.bytes("mdalp.data", "Data"),
	data_len = ProtoField.uint32("mdalp.data_len", "Data length", base.DEC),
	receivers = ProtoField.uint32("mdalp.receivers", "Receivers", base.DEC),
	receiver = ProtoField.string("mdalp.receiver", "Receiver"),
	receiver_address = ProtoField.string("mdalp.receiver.address", "Address"),
	receiver_name = ProtoField.string("mdalp.receiver.name", "Name"),
	receiver_port = ProtoField.uint16("mdalp.receiver.port", "Port", base.DEC),
	receiver_seg = ProtoField.uint32("mdalp.receiver.seg", "Largest segment", base.DEC),
	receiver_win = ProtoField.uint32("mdalp.receiver.win", "Window in segments", base.DEC),
	receiver_short = ProtoField.uint32("mdalp.receiver.short", "Takes short segments", base.DEC),
	extended = ProtoField.bool("mdalp.extended", "Extended protocol"),
	sealed = ProtoField.bool("mdalp.sealed", "Sealed"),
	key = ProtoField.string("mdalp.key", "Key"),
	noise = ProtoField.string("mdalp.noise", "Handshake message"),
	tag = ProtoField.bytes("mdalp.tag", "Tag"),
	range = ProtoField.string("mdalp.range", "Arrived"),
	range_first = ProtoField.uint64("mdalp.range.first", "First", base.DEC),
	range_last = ProtoField.uint64("mdalp.range.last", "Last", base.DEC),
	manifest_bytes = ProtoField.uint64("mdalp.manifest.bytes", "Bytes of the payload", base.DEC),
	manifest_seg = ProtoField.uint64("mdalp.manifest.seg", "Bytes of a segment", base.DEC),
	manifest_name = ProtoField.string("mdalp.manifest.name", "Name"),
	manifest_resume = ProtoField.uint64("mdalp.manifest.resume", "Resumes transaction", base.DEC),
	manifest_from = ProtoField.uint64("mdalp.manifest.from", "Asks from", base.DEC),
	manifest_sha256 = ProtoField.string("mdalp.manifest.sha256", "SHA-256"),
	state_state = ProtoField.string("mdalp.state", "State"),
	state_have = ProtoField.string("mdalp.state.have", "Stored"),
	state_upto = ProtoField.uint64("mdalp.state.upto", "Told up to", base.DEC),
	state_wait = ProtoField.uint64("mdalp.state.wait", "Ask again in ms", base.DEC),
	state_comment = ProtoField.string("mdalp.state.comment", "Comment"),
	state_bytes = ProtoField.uint64("mdalp.state.bytes", "Bytes that are held", base.DEC),
	state_seg = ProtoField.uint64("mdalp.state.seg", "Segment size that is held", base.DEC),
	state_resume = ProtoField.uint64("mdalp.state.resume", "To be resumed", base.DEC),
	state_of = ProtoField.framenum("mdalp.state.manifest", "Answers the manifest in", base.NONE, frametype.REQUEST),
	state_delay = ProtoField.relative_time("mdalp.state.delay", "Answered after"),
	acks = ProtoField.uint32("mdalp.newly_acked", "Newly acknowledged", base.DEC),
	acked_in = ProtoField.framenum("mdalp.acked_in", "Acked in", base.NONE, frametype.RESPONSE),
	ack_of = ProtoField.framenum("mdalp.ack_of", "Acknowledges the segment in", base.NONE, frametype.REQUEST),
	ack_delay = ProtoField.relative_time("mdalp.ack_delay", "Ack delay"),
	try = ProtoField.uint32("mdalp.try", "Transmission", base.DEC),
	retransmission = ProtoField.bool("mdalp.retransmission", "Retransmission"),
	retransmission_of = ProtoField.framenum("mdalp.retransmission_of", "Sent before in", base.NONE, frametype.RETRANS_PREV),
	duplicate_ack = ProtoField.bool("mdalp.duplicate_ack", "Duplicate ack"),
	answers = ProtoField.framenum("mdalp.offer.intent", "Answers the intent in", base.NONE, frametype.REQUEST),
	wait = ProtoField.relative_time("mdalp.offer.wait", "Wait"),
}
local list = {}
for _, field in pairs(f) do
	list[#list + 1] = field
end
mdalp.fields = list

local e = {
	malformed = ProtoExpert.new("mdalp.malformed", "Malformed message", expert.group.MALFORMED, expert.severity.ERROR),
	missing = ProtoExpert.new("mdalp.missing_field", "A field that the type needs is missing", expert.group.PROTOCOL, expert.severity.WARN),
	unknown = ProtoExpert.new("mdalp.unknown_type", "Unknown type", expert.group.UNDECODED, expert.severity.NOTE),
	again = ProtoExpert.new("mdalp.expert.retransmission", "Segment sent again", expert.group.SEQUENCE, expert.severity.NOTE),
	duplicate = ProtoExpert.new("mdalp.expert.duplicate_ack", "Segment acknowledged before", expert.group.SEQUENCE, expert.severity.NOTE),
	unsent = ProtoExpert.new("mdalp.expert.unsent", "Ack of a segment that is not in the capture", expert.group.SEQUENCE, expert.severity.WARN),
}
local experts = {}
for _, x in pairs(e) do
	experts[#experts + 1] = x
end
mdalp.experts = experts

-- An ICMP error carries the datagram that it is about, which was not sent once more.
local icmp, icmpv6 = Field.new("icmp.type"), Field.new("icmpv6.type")

-- What was found in the first pass over the capture.
local segments  -- client, receiver, TID and SEQ -> { frames, times, acked frame }
local frames    -- frame and place in it -> its segment, and what it is there
local intents   -- client and orchestrator -> the first intent that is not answered
local manifests -- hosts, TID and SEQ -> the manifest
local seals     -- client and TID -> true, if the transaction is sealed
local flights   -- client, receiver and TID -> transmissions of the extended protocol by NUM

function mdalp.init()
	segments, frames, intents, manifests, flights, seals = {}, {}, {}, {}, {}, {}
end

-- number reads "NAME:<digits>" at offset i of s: the value as text, its first and last
-- offset, and the offset behind the ";". nil if the field is not there.
local function number(s, i, name)
	local from, to, digits, rest = s:find("^" .. name .. ":(%d+)(;?)", i)
	if not from then
		return nil
	end
	return digits, from + #name + 1, from + #name + #digits, to + 1, rest == ";"
end

-- number64 makes a UInt64 of digits, or nil beyond 2^63-1.
local function number64(digits)
	digits = digits:gsub("^0+(%d)", "%1")
	if #digits > 19 or #digits == 19 and digits > "9223372036854775807" then
		return nil
	end
	return UInt64(tonumber(digits:sub(-9)), 0)
		+ UInt64(tonumber("0" .. digits:sub(-18, -10)), 0) * UInt64(1000000000, 0)
		+ UInt64(tonumber("0" .. digits:sub(-19, -19)), 0) * UInt64(1000000000, 0) * UInt64(1000000000, 0)
end

-- number_of_64 makes a UInt64 of digits to the base 64 (RFC 4648, section 5), or nil beyond
-- 2^63-1.
local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
local function number_of_64(digits)
	if #digits > 11 or #digits == 11 and alphabet:find(digits:sub(1, 1), 1, true) > 8 then
		return nil
	end
	local n = UInt64(0, 0)
	for c in digits:gmatch(".") do
		n = n * UInt64(64, 0) + UInt64(alphabet:find(c, 1, true) - 1, 0)
	end
	return n
end

-- short_form is what a short segment begins with: TID, SEQ and NUM to the base 64.
local short_form = "^2;([%w_-]+);([%w_-]+);([%w_-]+);"

-- literals finds the entries 'key': value of a Python dict in s, from offset i on. It
-- calls found(key, value, first, last) for strings and whole numbers.
local escapes = { n = "\n", r = "\r", t = "\t" }
local function literals(s, i, stop, found)
	local key
	while i <= stop do
		local c = s:sub(i, i)
		if c == "'" or c == '"' then
			local from, text = i, {}
			i = i + 1
			while i <= stop and s:sub(i, i) ~= c do
				if s:sub(i, i) == "\\" then
					i = i + 1
					text[#text + 1] = escapes[s:sub(i, i)] or s:sub(i, i)
				else
					text[#text + 1] = s:sub(i, i)
				end
				i = i + 1
			end
			if i > stop then
				return false
			end
			text = table.concat(text)
			local _, colon = s:find("^%s*:", i + 1)
			if colon and not key then
				key, i = text, colon
			elseif key then
				found(key, text, from, i)
				key = nil
			end
		elseif key and c:find("%d") then
			local _, last = s:find("^%d+", i)
			found(key, s:sub(i, last), i, last)
			key, i = nil, last
		elseif c == "," or c == "}" then
			key = nil
		end
		i = i + 1
	end
	return true
end

-- offer dissects the list of receivers in s[i..stop].
local function offer(tvb, tree, s, i, stop)
	local n, extended = 0, true
	while true do
		local from = s:find("{", i, true)
		if not from or from > stop then
			break
		end
		-- The end of the dict: the brace outside of quotes.
		local to, quote = nil, nil
		local k = from + 1
		while k <= stop do
			local c = s:sub(k, k)
			if quote and c == "\\" then
				k = k + 1
			elseif quote then
				if c == quote then quote = nil end
			elseif c == "'" or c == '"' then
				quote = c
			elseif c == "}" then
				to = k
				break
			end
			k = k + 1
		end
		if not to then
			return nil
		end
		n = n + 1
		local sub = tree:add(f.receiver, tvb(from - 1, to - from + 1))
		local address, name, port, keys = nil, nil, "4650", {}
		literals(s, from + 1, to - 1, function(key, value, a, b)
			local r = tvb(a - 1, b - a + 1)
			if key == "ip_address" then
				address = value
				sub:add(f.receiver_address, r, value)
			elseif key == "name" then
				name = value
				sub:add(f.receiver_name, r, value)
			elseif (key == "port" or key == "seg" or key == "win" or key == "short") and value:find("^%d+$") and #value < 10 then
				if key == "port" then port = value end
				keys[key] = true
				local number = tonumber(value)
				if key ~= "port" or number < 65536 then
					sub:add(f["receiver_" .. key], r, number)
				end
			end
		end)
		-- An offer is of the extended protocol if every receiver in it is.
		extended = extended and keys.seg and keys.win
		if not address then
			sub:add_proto_expert_info(e.malformed, "A receiver without ip_address")
		end
		sub:set_text("Receiver " .. n .. ": " .. (address or "?") .. " port " .. port .. (name and " (" .. name .. ")" or ""))
		i = to + 1
	end
	tree:add(f.receivers, tvb(stop - 1, 1), n):set_generated()
	tree:add(f.extended, tvb(stop - 1, 1), n > 0 and extended and true or false):set_generated()
	return n
end

-- ranges dissects "30-41,45,47-52"; nil if it is something else. It gives the ranges as
-- pairs of Lua's numbers, which are right up to 2^53.
local function ranges(tvb, tree, s, i, stop)
	local all = {}
	if s:sub(stop, stop) == ";" then
		stop = stop - 1
	end
	while i <= stop do
		local from, to, first, last = s:find("^(%d+)%-?(%d*)", i)
		if not from or to > stop then
			return nil
		end
		if last == "" then last = first end
		local a, b = number64(first), number64(last)
		if not a or not b or b < a then
			return nil
		end
		local sub = tree:add(f.range, tvb(from - 1, to - from + 1))
		sub:add(f.range_first, tvb(from - 1, #first), a)
		sub:add(f.range_last, tvb(to - #last, #last), b)
		all[#all + 1] = { tonumber(first), tonumber(last) }
		i = to + 1
		if i <= stop then
			if s:sub(i, i) ~= "," or i == stop then
				return nil
			end
			i = i + 1
		end
	end
	return all
end

-- segment gives the record of a segment between a client and a receiver.
local function segment(client, cport, receiver, rport, tid, seq)
	local key = tostring(client) .. " " .. cport .. " " .. tostring(receiver) .. " " .. rport .. " " .. tid .. " " .. seq
	local x = segments[key]
	if not x then
		x = { sent = {}, at = {} }
		segments[key] = x
	end
	return x
end

-- follow tells what is known of a segment or its acknowledgement.
local function follow(tree, pinfo, place, typ, tid, seq)
	local key = pinfo.number .. " " .. place
	if not pinfo.visited and not frames[key] then
		local here = { type = typ }
		if typ == 2 then
			local x = segment(pinfo.src, pinfo.src_port, pinfo.dst, pinfo.dst_port, tid, seq)
			x.sent[#x.sent + 1] = pinfo.number
			x.at[#x.at + 1] = pinfo.rel_ts
			here.segment, here.try = x, #x.sent
		else
			local x = segment(pinfo.dst, pinfo.dst_port, pinfo.src, pinfo.src_port, tid, seq)
			here.segment = x
			if #x.sent == 0 then
				here.unsent = true
			elseif x.acked then
				here.duplicate = true
			else
				x.acked = pinfo.number
			end
			if #x.sent > 0 then
				here.of, here.delay = x.sent[#x.sent], pinfo.rel_ts - x.at[#x.at]
			end
		end
		frames[key] = here
	end
	local here = frames[key]
	if not here then
		return ""
	end
	if typ == 2 then
		local x = here.segment
		tree:add(f.try, here.try):set_generated()
		tree:add(f.retransmission, here.try > 1):set_generated()
		if here.try > 1 then
			tree:add(f.retransmission_of, x.sent[here.try - 1]):set_generated()
			tree:add_proto_expert_info(e.again)
		end
		if x.acked then
			tree:add(f.acked_in, x.acked):set_generated()
		end
		return here.try > 1 and " [Retransmission]" or ""
	end
	if here.of then
		tree:add(f.ack_of, here.of):set_generated()
		local s = math.floor(here.delay)
		tree:add(f.ack_delay, NSTime.new(s, math.floor((here.delay - s) * 1e9 + 0.5))):set_generated()
	end
	if here.unsent then
		tree:add_proto_expert_info(e.unsent)
	end
	tree:add(f.duplicate_ack, here.duplicate or false):set_generated()
	if here.duplicate then
		tree:add_proto_expert_info(e.duplicate)
		return " [Duplicate]"
	end
	return ""
end

-- flight gives the transmissions from a client to a receiver in a transaction.
local function flight(client, cport, receiver, rport, tid)
	local key = tostring(client) .. " " .. cport .. " " .. tostring(receiver) .. " " .. rport .. " " .. tid
	local x = flights[key]
	if not x then
		x = { open = {}, count = 0 }
		flights[key] = x
	end
	return x
end

-- take notes that a transmission was acknowledged in a frame.
local function take(x, num, frame)
	local t = x.open[num]
	if not t then
		return 0
	end
	t.acked = frame
	x.open[num], x.count, x.last = nil, x.count - 1, t
	return 1
end

-- number_of tells what is known of a segment with NUM, or of an ack of such.
local function number_of(tree, pinfo, place, typ, tid, seq, num, acked)
	local key = pinfo.number .. " " .. place
	if not pinfo.visited and not frames[key] then
		local here = { type = typ }
		if typ == 2 then
			local x = flight(pinfo.src, pinfo.src_port, pinfo.dst, pinfo.dst_port, tid)
			-- Whichever receiver got it: a SEQ is a place in the payload.
			local again = segment(pinfo.src, 0, "all", 0, tid, seq)
			again.sent[#again.sent + 1] = pinfo.number
			here.segment, here.try = again, #again.sent
			here.shot = { frame = pinfo.number, at = pinfo.rel_ts }
			if not x.open[num] then
				x.count = x.count + 1
			end
			x.open[num], x.top = here.shot, math.max(x.top or 0, num)
		else
			local x = flight(pinfo.dst, pinfo.dst_port, pinfo.src, pinfo.src_port, tid)
			local news = 0
			here.unsent = not x.top or num > x.top
			-- That of NUM is what the delay is measured by, so it is taken last.
			for k = #acked, 1, -1 do
				local first, last = acked[k][1], acked[k][2]
				-- Beyond 2^53 counting by one would stand still.
				if last - first < x.count and last < 2 ^ 53 then
					for n = first, last do news = news + take(x, n, pinfo.number) end
				else
					local there = {}
					for n in pairs(x.open) do
						if first <= n and n <= last then there[#there + 1] = n end
					end
					table.sort(there)
					for _, n in ipairs(there) do news = news + take(x, n, pinfo.number) end
				end
			end
			here.news = news
			if news > 0 then
				here.of, here.delay = x.last.frame, pinfo.rel_ts - x.last.at
			end
		end
		frames[key] = here
	end
	local here = frames[key]
	if not here then
		return ""
	end
	if typ == 2 then
		tree:add(f.try, here.try):set_generated()
		tree:add(f.retransmission, here.try > 1):set_generated()
		if here.try > 1 then
			tree:add(f.retransmission_of, here.segment.sent[here.try - 1]):set_generated()
			tree:add_proto_expert_info(e.again)
		end
		if here.shot.acked then
			tree:add(f.acked_in, here.shot.acked):set_generated()
		end
		return here.try > 1 and " [Retransmission]" or ""
	end
	tree:add(f.acks, here.news):set_generated()
	if here.of then
		tree:add(f.ack_of, here.of):set_generated()
		local s = math.floor(here.delay)
		tree:add(f.ack_delay, NSTime.new(s, math.floor((here.delay - s) * 1e9 + 0.5))):set_generated()
	end
	if here.unsent then
		tree:add_proto_expert_info(e.unsent)
	end
	local duplicate = here.news == 0 and not here.unsent
	tree:add(f.duplicate_ack, duplicate):set_generated()
	if duplicate then
		tree:add_proto_expert_info(e.duplicate)
		return " [Duplicate]"
	end
	return " New=" .. here.news
end

-- stood matches states with manifests. Both may be of any port of the client.
local function stood(tree, pinfo, typ, tid, seq)
	local client, other = pinfo.src, pinfo.dst
	if typ == 5 then
		client, other = other, client
	end
	local key = tostring(client) .. " " .. tostring(other) .. " " .. tid .. " " .. seq
	if typ == 4 then
		if not pinfo.visited and not manifests[key] then
			manifests[key] = { frame = pinfo.number, at = pinfo.rel_ts }
		end
		return
	end
	local x = manifests[key]
	if x and x.frame < pinfo.number then
		local delay = pinfo.rel_ts - x.at
		local s = math.floor(delay)
		tree:add(f.state_of, x.frame):set_generated()
		tree:add(f.state_delay, NSTime.new(s, math.floor((delay - s) * 1e9 + 0.5))):set_generated()
	end
end

-- asked matches offers with intents.
local function asked(tree, pinfo, typ)
	local key
	if typ == 0 then
		key = tostring(pinfo.src) .. " " .. pinfo.src_port .. " " .. tostring(pinfo.dst) .. " " .. pinfo.dst_port
		if not pinfo.visited and not intents[key] then
			intents[key] = { frame = pinfo.number, at = pinfo.rel_ts }
		end
		return
	end
	local place = pinfo.number .. " offer"
	if not pinfo.visited and not frames[place] then
		key = tostring(pinfo.dst) .. " " .. pinfo.dst_port .. " " .. tostring(pinfo.src) .. " " .. pinfo.src_port
		if intents[key] then
			frames[place] = { of = intents[key].frame, delay = pinfo.rel_ts - intents[key].at }
			intents[key] = nil
		end
	end
	if frames[place] then
		local s = math.floor(frames[place].delay)
		tree:add(f.answers, frames[place].of):set_generated()
		tree:add(f.wait, NSTime.new(s, math.floor((frames[place].delay - s) * 1e9 + 0.5))):set_generated()
	end
end

-- sealed_key gives the key of seals for the transaction of a datagram.
local function sealed_key(pinfo, typ, tid)
	local client = (typ == 2 or typ == 4) and pinfo.src or pinfo.dst
	return tostring(client) .. " " .. tid
end

-- handshake dissects a sealed intent or what answers it; nil if it is something else.
local function handshake(tvb, item, s, i, stop)
	local key, noise
	if not s:find("^%s*{", i) then
		return nil
	end
	local ok = literals(s, i, stop, function(k, value, a, b)
		local r = tvb(a - 1, b - a + 1)
		if k == "key" then
			key = value
			item:add(f.key, r, value)
		elseif k == "noise" then
			noise = value
			item:add(f.noise, r, value)
		end
	end)
	return ok and noise and { key = key } or nil
end

-- needs says which fields a type has: T for TID, S for SEQ, D for DATA.
local needs = { [0] = "", [1] = "TD", [2] = "TSD", [3] = "TS", [4] = "TSD", [5] = "TSD" }

-- Which keys of a manifest and of a state are numbers, and which are text.
local known = {
	[4] = { bytes = "number", seg = "number", resume = "number", from = "number", name = "text", sha256 = "text" },
	[5] = { state = "text", have = "text", comment = "text", upto = "number", wait = "number", bytes = "number", seg = "number", resume = "number" },
}

-- train gives the length of the first datagram in s, where s is several that the kernel
-- handed on as one (UDP_SEGMENT and UDP_GRO): all of one length but the last, each with a header
-- of the same transaction, and segments with rising NUMs. 0 if it is one.
local function train(s)
	local head, num = s:match("^(2;[%w_-]+;)[%w_-]+;([%w_-]+);")
	if head and number_of_64(num) then
		local next_num = number_of_64(num) + UInt64(1, 0)
		local from = #head
		while true do
			from = s:find(head, from + 1, true)
			if not from then
				return 0
			end
			local fits = true
			for at = from, #s, from - 1 do
				fits = fits and s:sub(at, at + #head - 1) == head
			end
			local _, _, follows = s:match(short_form, from)
			follows = follows and number_of_64(follows)
			if fits and follows and follows == next_num then
				return from - 1
			end
		end
	end
	local typ, tid = s:match("^Type:([23]);TID:(%d+);SEQ:%d+;NUM:%d+;DATA:")
	if not typ then
		return 0
	end
	local head = "Type:" .. typ .. ";TID:" .. tid .. ";SEQ:"
	local next_num = tonumber(s:match(";NUM:(%d+)")) + 1
	local from = #head
	while true do
		from = s:find(head, from + 1, true)
		if not from then
			return 0
		end
		local n, fits = from - 1, true
		for at = from, #s, from - 1 do
			fits = fits and s:sub(at, at + #head - 1) == head
		end
		if fits and (typ == "3" or tonumber(s:match("^%d+;NUM:(%d+);DATA:", from + #head)) == next_num) then
			return n
		end
	end
end

-- message dissects one message, and gives what the list of packets says of it.
local function message(tvb, pinfo, tree)
	local length = tvb:len()
	local s = tvb:raw(0, length)
	local root = tree:add(mdalp, tvb())
	local function broken(at, why)
		root:add_proto_expert_info(e.malformed, "Malformed at byte " .. (at - 1) .. ": " .. why)
		return "[Malformed: " .. why .. "]"
	end

	local short = { s:match(short_form) }
	local digits, from, to, i, more
	if short[1] then
		digits, from, to, i, more = "2", 1, 1, 3, true
	else
		digits, from, to, i, more = number(s, 1, "Type")
	end
	if not digits or #digits > 9 or tonumber(digits) > 255 then
		return broken(1, "no Type")
	end
	local typ = tonumber(digits)
	root:add(f.type, tvb(from - 1, to - from + 1), typ)
	local name = types[typ] or ("Type " .. typ)
	local info, have, tid, seq, num = name, {}, nil, nil, nil

	-- A ";" may be missing only behind the last field.
	local long = false
	for k, field in ipairs({ { "TID", "tid" }, { "SEQ", "seq" }, { "NUM", "num" } }) do
		local at = i
		local value, a, b, rest, semicolon
		if short[1] then
			value, a, b, rest, semicolon = short[k], i, i + #short[k] - 1, i + #short[k] + 1, true
		else
			value, a, b, rest, semicolon = number(s, i, field[1])
		end
		if value then
			if not more then
				return broken(at, "no ';' before " .. field[1])
			end
			local n = short[1] and number_of_64(value) or not short[1] and number64(value)
			if not n then
				return broken(a, field[1] .. " is more than 2^63-1")
			end
			root:add(f[field[2]], tvb(a - 1, b - a + 1), n)
			have[field[1]:sub(1, 1)] = true
			long = long or #value > 19
			if field[1] == "TID" then tid = tostring(n) elseif field[1] == "SEQ" then seq = tostring(n) else num = tostring(n) end
			info = info .. " " .. field[1] .. "=" .. tostring(n)
			i, more = rest, semicolon
		end
	end
	-- The extended protocol bounds the digits.
	if long and (num or typ >= 4) then
		return broken(1, "a number of more than 19 digits")
	end
	local data, acked
	if short[1] or more and s:sub(i, i + 4) == "DATA:" then
		data = short[1] and i or i + 5
		have.D = true
		local n = length - data + 1
		local r = n > 0 and tvb(data - 1, n) or tvb(length - 1, 0)
		root:add(f.data_len, r, n):set_generated()
		local item = n > 0 and root:add(f.data, r) or root
		info = info .. " Len=" .. n
		local inside = tid and (typ >= 2 and typ <= 5) and sealed_key(pinfo, typ, tid)
		local hello = (typ == 0 or typ == 1) and n > 0 and handshake(tvb, item, s, data, length)
		if inside and not seals[inside] and typ >= 4 and n > 16 and not s:find("^%s*{", data) then
			seals[inside] = true -- its offer is not in the capture
		end
		if hello then
			root:add(f.sealed, r, true):set_generated()
			info = info .. " sealed" .. (hello.key and ", key " .. hello.key or "")
			if typ == 1 and tid then
				seals[tostring(pinfo.dst) .. " " .. tid] = true
			elseif typ == 1 then
				info = info .. ", wait"
				have.T = true -- it is no offer yet
			end
		elseif inside and seals[inside] and n >= 16 then
			root:add(f.sealed, r, true):set_generated()
			root:add(f.tag, tvb(length - 16, 16))
			info = info .. " sealed"
			if typ == 3 and num then
				-- From outside it shows the number that it ends with.
				acked = { { tonumber(num), tonumber(num) } }
			end
		elseif n == 0 then
			-- nothing to look into
		elseif typ == 1 then
			local count = offer(tvb, root, s, data, length)
			if not count then
				return broken(data, "the list of receivers does not end")
			end
			info = info .. ", " .. count .. (count == 1 and " receiver" or " receivers")
		elseif typ == 3 then
			acked = ranges(tvb, item, s, data, length)
			if acked and num then
				-- They fall, and the first ends at NUM.
				for k, r in ipairs(acked) do
					if k == 1 and r[2] ~= tonumber(num) or k > 1 and r[2] >= acked[k - 1][1] - 1 or k > 32 then
						return broken(data, "the ranges do not fall from NUM on")
					end
				end
			end
			if acked then
				info = info .. " Arrived=" .. s:sub(data, length):gsub(";$", "")
			else
				return broken(data, "these are no ranges")
			end
		elseif typ == 4 or typ == 5 then
			local ok = literals(s, data, length, function(key, value, a, b)
				local kind, r = known[typ][key], tvb(a - 1, b - a + 1)
				local field = f[(typ == 4 and "manifest_" or "state_") .. key]
				if kind == "number" and value:find("^%d+$") then
					local n = number64(value)
					if n then item:add(field, r, n) end
				elseif kind == "text" then
					item:add(field, r, value)
					if key == "state" then info = info .. " " .. value end
				end
			end)
			if not ok then
				return broken(data, "a text does not end")
			end
		end
	elseif i <= length then
		return broken(i, "unexpected text")
	end

	if not types[typ] then
		root:add_proto_expert_info(e.unknown)
	else
		for field in needs[typ]:gmatch(".") do
			if not have[field] then
				local long = ({ T = "TID", S = "SEQ", D = "DATA" })[field]
				root:add_proto_expert_info(e.missing, name .. " without " .. long)
				info = info .. " [no " .. long .. "]"
			end
		end
	end
	if icmp() or icmpv6() then
		info = info .. " [in an ICMP error]"
	elseif (typ == 2 or typ == 3 and acked) and tid and seq and num then
		info = info .. number_of(root, pinfo, tostring(tvb:offset()), typ, tid, seq, tonumber(num), acked)
	elseif (typ == 4 or typ == 5) and tid and seq then
		stood(root, pinfo, typ, tid, seq)
	elseif (typ == 2 or typ == 3) and tid and seq then
		info = info .. follow(root, pinfo, tostring(tvb:offset()), typ, tid, seq)
	elseif typ == 0 or typ == 1 then
		asked(root, pinfo, typ)
	end
	root:append_text(", " .. info)
	return info
end

function mdalp.dissector(tvb, pinfo, tree)
	local length = tvb:len()
	if length == 0 then
		return 0
	end
	pinfo.cols.protocol = "MDALP"
	local n = train(tvb:raw(0, length))
	if n == 0 then
		pinfo.cols.info = message(tvb, pinfo, tree)
		return length
	end
	local info, count = nil, 0
	for at = 0, length - 1, n do
		local one = message(tvb(at, math.min(n, length - at)):tvb(), pinfo, tree)
		info, count = info or one, count + 1
	end
	pinfo.cols.info = info .. ", and " .. (count - 1) .. " more in a train"
	return length
end

-- A datagram is taken by its first bytes, whatever its ports.
mdalp:register_heuristic("udp", function(tvb, pinfo, tree)
	local head = tvb:raw(0, math.min(tvb:len(), 40))
	if not head:find("^Type:%d+;") and not head:find(short_form) then
		return false
	end
	mdalp.dissector(tvb, pinfo, tree)
	return true
end)

DissectorTable.get("udp.port"):add(4650, mdalp)
