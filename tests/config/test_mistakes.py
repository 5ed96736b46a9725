"""One test for each kind of mistake: where it is found, what is said of it, and what to do."""

import pytest

from tests.config.sites import BASE, changed, problems, site, unmarked
from tests.judging import every

RANGE = "; write a range as A01..A12, and give what stands beside it as many members"
WHOLE = "; write a whole number, without quotes and without a unit"
MISTAKES: list[tuple[str, str, str, str]] = [
    # YAML
    (
        "a tab",
        "gateway: {id",
        "a:\n§\tb: 1\ngateway: {id",
        "found character '\\t' that cannot start any token; indent with spaces, YAML takes no tabs",
    ),
    (
        "a stray bracket",
        "tariff_tiers_w: [150, 300]",
        "tariff_tiers_w: [150, 300§}",
        "expected ',' or ']', but got '}'; correct the YAML here or just above",
    ),
    (
        "a doubled key",
        "limits: {power_w: 800",
        "§buses: {}\nlimits: {power_w: 800",
        "key 'buses' stands in line 5 already; give each key once",
    ),
    (
        "a key that is a list",
        "limits: {power_w: 800",
        "? §[a]\n: 1\nlimits: {power_w: 800",
        "this cannot be a key; write the keys out; a range stands for equal entries",
    ),
    (
        "a merge key",
        "limits: {power_w: 800",
        "§<<: {}\nlimits: {power_w: 800",
        "this cannot be a key; write the keys out; a range stands for equal entries",
    ),
    (
        "a tag",
        "name: Shed",
        "name: §!!python/name:os.system x",
        "unknown tag 'python/name:os.system'; leave the tag out",
    ),
    (
        "a number longer than any",
        "current_a: 4",
        "current_a: §" + "9" * 5000,
        "99999999999999999999... cannot be read as a number; correct the number",
    ),
    (
        "an alias of itself",
        "limits: {power_w: 800",
        "x: &x [§&y [*y]]\nlimits: {power_w: 800",
        "an alias stands for too much; write the values out",
    ),
    (
        "an undefined alias",
        "parent: main, phase: L1",
        "parent: §*m, phase: L1",
        "found undefined alias 'm'; correct the YAML here or just above",
    ),
    # Shape
    (
        "an unknown key at the top",
        "limits: {power_w: 800",
        "§limit: {}\nlimits: {power_w: 800",
        (
            "unknown key 'limit'; did you mean limits? known here: boards, buses, charge_end, circuits, gateway, "
            "inputs, limits, metrics, mqtt, ports, protection, queue, resume, tariff_tiers_w"
        ),
    ),
    (
        "an unknown key, nothing like it",
        "name: Shed",
        "§colour: red, name: Shed",
        "unknown key 'colour'; known here: id, name, timezone",
    ),
    (
        "an unknown key of a board",
        "address: 1, profile: waveshare-relay-16",
        "address: 1, §leese: off, profile: waveshare-relay-16",
        (
            "unknown key 'leese'; did you mean lease? known here: address, bus, lease, pre_silence_ms, profile, "
            "timeout_ms, turnaround_ms"
        ),
    ),
    (
        "an unknown key of tls",
        "{ca: /ca.pem}",
        "{§cat: /ca.pem}",
        "unknown key 'cat'; did you mean ca? known here: ca, certificate, key",
    ),
    (
        "an unknown key of a port's limits",
        "{power_w: 400}",
        "{§power: 400}",
        "unknown key 'power'; did you mean power_w? known here: current_a, duration_s, energy_wh, power_w",
    ),
    (
        "a misspelt key is told once",
        "    relay: relay-b/8",
        "    §rely: relay-b/8",
        (
            "unknown key 'rely'; did you mean relay? known here: charge_end, circuit, id, label, limits, meter, "
            "phase, protection, relay, temperature"
        ),
    ),
    (
        "a key with nothing behind it",
        "{power_w: 400}",
        "{§power_w: }",
        "ports.2.limits.power_w is empty; give it a value, or leave the key out",
    ),
    (
        "a section with nothing behind it that would go on in plain text",
        "tls: {ca: /ca.pem}",
        "§tls:",
        "mqtt.tls is empty; give it a value, or leave the key out",
    ),
    (
        "quotes as word processors set them",
        'label: "B01 (wall)"',
        "label: §\u201eB01 (wall)\u201c",
        (
            "\u201eB01 (wall)\u201c stands in typographic quotes, which are part of the text here; "
            'write "B01 (wall)"; switch smart quotes off in the editor'
        ),
    ),
    (
        "a name of Windows",
        "serial: /dev/line-a",
        "serial: §COM3",
        (
            "buses.line-a.serial cannot be COM3, a name of Windows; write the device's whole name, as "
            "ls /dev/serial/by-path/* shows it"
        ),
    ),
    (
        "a device without its folder",
        "serial: /dev/line-a",
        "serial: §ttyUSB0",
        (
            "buses.line-a.serial cannot be 'ttyUSB0'; write the device's whole name, as "
            "ls /dev/serial/by-path/* shows it"
        ),
    ),
    (
        "a missing key",
        '  - id: B01\n    label: "B01 (wall)"',
        '  - §label: "B01 (wall)"',
        "ports.2.id is missing; add id",
    ),
    (
        "a missing section",
        BASE[BASE.index("circuits:") : BASE.index("limits:")],
        "",
        "circuits is missing; add circuits",
    ),
    (
        "an empty section",
        "limits: {power_w: 800, current_a: 4}",
        "§limits:",
        "limits is empty, not a mapping; write keys and values below it, or leave it out",
    ),
    (
        "a list for a mapping",
        "  main: {phases: 3}",
        "  main: §[3]",
        "circuits.main is a list, not a mapping; write keys and values below it, or leave it out",
    ),
    (
        "a mapping for a list",
        "tariff_tiers_w: [150, 300]",
        "§tariff_tiers_w: {a: 1}",
        "tariff_tiers_w is a mapping, not a list; begin each entry with a dash, or write [...]",
    ),
    (
        "words for the buses",
        "  line-b: {rtu",
        "  line-c: §wire\n  line-b: {rtu",
        "buses.line-c is 'wire', not a mapping; write keys and values below it, or leave it out",
    ),
    (
        "no value",
        "    circuit: shed-b",
        "    §circuit:",
        "ports.2.circuit is empty, not text; write text, in quotes if it looks like something else",
    ),
    (
        "a number for a name",
        "    circuit: shed-b",
        "    circuit: §7",
        "ports.2.circuit is 7, not text; write text, in quotes if it looks like something else",
    ),
    (
        "nothing in quotes",
        "    circuit: shed-b",
        "    circuit: §''",
        "ports.2.circuit is empty; give it, or leave the key out",
    ),
    (
        "a word for a number",
        "current_a: 4",
        "current_a: §four",
        "limits.current_a is 'four', not a number; write a number, without quotes and without a unit",
    ),
    (
        "a number in quotes",
        "current_a: 4",
        'current_a: §"4"',
        "limits.current_a is '4', not a number; write a number, without quotes and without a unit",
    ),
    (
        "a truth value for a number",
        "current_a: 4",
        "current_a: §true",
        "limits.current_a is true, not a number; write a number, without quotes and without a unit",
    ),
    (
        "half a baud",
        "{serial: /dev/line-a}",
        "{serial: /dev/line-a, baudrate: §9600.5}",
        "buses.line-a.baudrate is 9600.5, not a whole number" + WHOLE,
    ),
    (
        "no limit at all",
        "current_a: 4",
        "current_a: §.inf",
        "limits.current_a is inf, which is no amount; give a finite number",
    ),
    (
        "not a number",
        "current_a: 4",
        "current_a: §.nan",
        "limits.current_a is nan, which is no amount; give a finite number",
    ),
    (
        "energy without end",
        "current_a: 4",
        "energy_wh: §.inf",
        "limits.energy_wh is inf, which is no amount; give a finite number",
    ),
    (
        "a choice that is none",
        "{serial: /dev/line-a}",
        "{serial: /dev/line-a, parity: §mark}",
        "buses.line-a.parity cannot be mark; give 'none', 'even' or 'odd'",
    ),
    ("two phases", "main: {phases: 3}", "main: {phases: §2}", "circuits.main.phases cannot be 2; give 1 or 3"),
    (
        "neither on nor off",
        "address: 1, profile: waveshare-relay-16",
        "address: 1, lease: §maybe, profile: waveshare-relay-16",
        "boards.relay-a.lease is neither on nor off; write on or off",
    ),
    (
        "a gateway's id",
        "{id: gate-1,",
        "{id: §Gate 1,",
        "gateway.id cannot be 'Gate 1'; use 1 to 32 letters (a to z), digits, dots, dashes and underscores",
    ),
    (
        "a prefix with a wildcard",
        "  host: broker.example.net",
        "  host: b\n  prefix: §a/+",
        "mqtt.prefix cannot be 'a/+'; write topic levels with / between, such as chargerd/v1, and no $ first",
    ),
    (
        "a time zone",
        "timezone: Europe/Berlin",
        "timezone: §Europe/Berln",
        "gateway.timezone is no time zone; write one such as Europe/Berlin or UTC",
    ),
    (
        "certificate without key",
        "  tls: {ca: /ca.pem}",
        "  §tls: {certificate: /c.pem}",
        "mqtt.tls: certificate and key go together; give both or neither",
    ),
    (
        "an endpoint without port",
        '"10.0.0.2:4196"',
        "§10.0.0.2",
        "buses.line-b.rtu_over_tcp is no host and port; write it as 192.168.10.20:502",
    ),
    (
        "a bus with two lines",
        "  line-a: {serial: /dev/line-a}",
        "  §line-a: {serial: /dev/line-a, tcp: 'h:502'}",
        "buses.line-a: a bus has one line; give exactly one of serial, tcp and rtu_over_tcp",
    ),
    (
        "a bus with none",
        "  line-a: {serial: /dev/line-a}",
        "  §line-a: {baudrate: 9600}",
        "buses.line-a: a bus has one line; give exactly one of serial, tcp and rtu_over_tcp",
    ),
    (
        "tiers not ascending",
        "tariff_tiers_w: [150, 300]",
        "tariff_tiers_w: §[150, 150]",
        "tariff_tiers_w: the tiers are not ascending; put the lowest first, each only once",
    ),
    (
        "too many tiers",
        "tariff_tiers_w: [150, 300]",
        f"tariff_tiers_w: §{list(range(1, 23))}",
        "tariff_tiers_w has too many entries; give fewer",
    ),
    (
        "a tier of nothing",
        "tariff_tiers_w: [150, 300]",
        "tariff_tiers_w: [§0, 300]",
        "tariff_tiers_w.1 is 0, not above 0; give more than 0",
    ),
    # Ceilings
    (
        "the site's power above the ceiling",
        "power_w: 800",
        "power_w: §3501",
        "limits.power_w is 3501, above the fixed ceiling of 3500; give at most 3500",
    ),
    (
        "a port's power above the ceiling",
        "{power_w: 400}",
        "{power_w: §4000}",
        "ports.2.limits.power_w is 4000, above the fixed ceiling of 3500; give at most 3500",
    ),
    (
        "a port's current above the ceiling",
        "{power_w: 400}",
        "{current_a: §16.1}",
        "ports.2.limits.current_a is 16.1, above the fixed ceiling of 16; give at most 16",
    ),
    (
        "longer than sixteen hours",
        "{power_w: 400}",
        "{duration_s: §57601}",
        "ports.2.limits.duration_s is 57601, above the fixed ceiling of 57600; give at most 57600",
    ),
    ("no power", "{power_w: 400}", "{power_w: §0}", "ports.2.limits.power_w is 0, not above 0; give more than 0"),
    (
        "a threshold above its ceiling",
        "limits: {power_w: 800",
        "protection: {overcurrent_instant_factor: §2.1}\nlimits: {power_w: 800",
        "protection.overcurrent_instant_factor is 2.1, above the fixed ceiling of 2; give at most 2",
    ),
    (
        "a port's threshold below its floor",
        "    limits: {power_w: 400}",
        "    protection: {meter_stale_s: §0.5}",
        "ports.2.protection.meter_stale_s is 0.5, below the fixed floor of 1; give at least 1",
    ),
    # Names and ranges
    (
        "a name with a slash",
        "  line-b: {rtu",
        "  §line/c: {tcp: 'h:502'}\n  line-b: {rtu",
        "buses.line/c cannot be 'line/c'; use 1 to 32 letters (a to z), digits, dots, dashes and underscores",
    ),
    (
        "an id that cannot be a topic's level",
        "id: B01",
        "id: §B/1",
        "ports.2.id cannot be 'B/1'; use 1 to 32 letters (a to z), digits, dots, dashes and underscores",
    ),
    (
        "an id that is a wildcard",
        "id: B01",
        "id: §'+'",
        "ports.2.id cannot be '+'; use 1 to 32 letters (a to z), digits, dots, dashes and underscores",
    ),
    (
        "an id that no command could name",
        "id: B01",
        "id: §东01",
        "ports.2.id cannot be '东01'; use 1 to 32 letters (a to z), digits, dots, dashes and underscores",
    ),
    (
        "a name where figures are served",
        "limits: {power_w: 800",
        "metrics: {address: §localhost}\nlimits: {power_w: 800",
        "metrics.address is no address; write 127.0.0.1, or one that this gateway has, such as 10.8.0.7",
    ),
    (
        "a broker written as an address of the web",
        "host: broker.example.net",
        "host: §mqtt://broker.example.com",
        "mqtt.host is no name or address; write the name alone: the port goes into port, TLS into tls",
    ),
    (
        "a prefix of the broker's own",
        "  host: broker.example.net",
        "  host: b\n  prefix: §$share/x",
        "mqtt.prefix cannot be '$share/x'; write topic levels with / between, such as chargerd/v1, and no $ first",
    ),
    (
        "a broker's name with nothing between two dots",
        "host: broker.example.net",
        "host: §broker..example.com",
        "mqtt.host is no name or address; each part between dots has 1 to 63 characters",
    ),
    (
        "a broker's name longer than names are",
        "host: broker.example.net",
        f"host: §{'b' * 64}.example.com",
        "mqtt.host is no name or address; each part between dots has 1 to 63 characters",
    ),
    (
        "a broker's address as URLs have it",
        "host: broker.example.net",
        'host: §"[2001:db8::1]"',
        "mqtt.host is no name or address; write the name alone: the port goes into port, TLS into tls",
    ),
    (
        "a serial server whose name cannot be looked up",
        '"10.0.0.2:4196"',
        '§".serial:4196"',
        "buses.line-b.rtu_over_tcp is no name or address; each part between dots has 1 to 63 characters",
    ),
    (
        "TLS switched on like a light",
        "  tls: {ca: /ca.pem}",
        "  tls: §true",
        "mqtt.tls is true, not a mapping; write {} for TLS with the system's authorities, or keys below it",
    ),
    (
        "a broker with its port",
        "host: broker.example.net",
        "host: §broker.example.com:8883",
        "mqtt.host is no name or address; write the name alone: the port goes into port, TLS into tls",
    ),
    (
        "an id longer than any",
        "id: B01",
        "id: §BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB",
        f"ports.2.id cannot be '{'B' * 33}'; use 1 to 32 letters (a to z), digits, dots, dashes and underscores",
    ),
    (
        "a range of circuits",
        "  shed-a: {parent: main, phase: L1}",
        "  §s1..s2: {}\n  shed-a: {parent: main, phase: L1}",
        "circuits.s1..s2 cannot be a range; describe each by itself",
    ),
    (
        "a range that runs backwards",
        "relay-a/1..3",
        "§relay-a/3..1",
        "'relay-a/3..1' runs backwards" + RANGE,
    ),
    (
        "a range that is none",
        "id: A01..A03",
        "id: §A01..B03",
        "'A01..B03' is not a range such as A01..A12" + RANGE,
    ),
    (
        "a range without end",
        "id: A01..A03",
        "id: §A1..A251",
        "'A1..A251' is longer than 250" + RANGE,
    ),
    (
        "a range out of all proportion",
        "id: A01..A03",
        "id: §A1..A9999999999",
        "'A1..A9999999999' has too many digits" + RANGE,
    ),
    (
        "ranges of unequal length",
        "relay-a/1..3",
        "§relay-a/1..4",
        "'relay-a/1..4' has 4 members beside 3" + RANGE,
    ),
    (
        "too few addresses",
        "address: 11..13",
        "address: §11..12",
        "'11..12' has 2 members beside 3" + RANGE,
    ),
    (
        "a label of another length",
        "id: A01..A03",
        "id: A01..A03\n    label: §Wall 1..2",
        "'Wall 1..2' has 2 members beside 3" + RANGE,
    ),
    (
        "boards in a range that is none",
        "  meter-a1..meter-a3: {",
        "  §meter-a1..a3: {",
        "'meter-a1..a3' is not a range such as A01..A12" + RANGE,
    ),
    # Buses and boards
    (
        "two buses on one device",
        '  line-b: {rtu_over_tcp: "10.0.0.2:4196"}',
        "  §line-b: {serial: /dev/line-a}",
        "bus line-b uses /dev/line-a, and so does bus line-a; describe each line once",
    ),
    (
        "two buses on one endpoint",
        "  line-b: {",
        "  line-c: {tcp: '10.0.0.2:4196'}\n  §line-b: {",
        "bus line-b uses 10.0.0.2:4196, and so does bus line-c; describe each line once",
    ),
    (
        "two boards at one address",
        "address: 30",
        "address: §12",
        (
            "feeder-a has address 12 on bus line-a, and so has meter-a2; give one of them another address: both "
            "would answer at once, and neither be heard"
        ),
    ),
    (
        "a board described twice",
        "  feeder-a: {",
        "  §meter-a2: {",
        "board meter-a2 is described twice; give each board a name of its own",
    ),
    (
        "an address above all",
        "address: 30",
        "address: §248",
        "248 is no Modbus address; give a number from 1 to 247",
    ),
    ("a broadcast's address", "address: 30", "address: §0", "0 is no Modbus address; give a number from 1 to 247"),
    (
        "no address",
        "address: 30",
        "address: §1.5",
        "boards.feeder-a.address is no address; write a number such as 11, or a range such as 11..22",
    ),
    (
        "a truth value for an address",
        "address: 30",
        "address: §true",
        "boards.feeder-a.address is no address; write a number such as 11, or a range such as 11..22",
    ),
    (
        "an unknown bus",
        "feeder-a: {bus: line-a",
        "feeder-a: {bus: §line-x",
        "unknown bus 'line-x'; did you mean line-b, line-a?",
    ),
    (
        "an unknown profile",
        "address: 30, profile: eastron-sdm120",
        "address: 30, profile: §eastron-sdm240",
        "unknown profile 'eastron-sdm240'; did you mean eastron-sdm230, eastron-sdm120, eastron-sdm54?",
    ),
    # Ports
    (
        "an unknown board",
        "relay: relay-b/8",
        "relay: §relay-x/8",
        "unknown board 'relay-x'; did you mean relay-b, relay-a?",
    ),
    (
        "a channel beyond the board's",
        "relay: relay-b/8",
        "relay: §relay-b/9",
        "relay-b/9 does not exist: waveshare-relay-8 has channels 1 to 8; count channels as printed on the board",
    ),
    (
        "channel 0",
        "relay: relay-b/8",
        "relay: §relay-b/0",
        "relay-b/0 does not exist: waveshare-relay-8 has channels 1 to 8; count channels as printed on the board",
    ),
    (
        "a channel in superscript",
        "relay: relay-b/8",
        "relay: §relay-b/²",
        "relay-b/² does not exist: waveshare-relay-8 has channels 1 to 8; count channels as printed on the board",
    ),
    (
        "no channel after the slash",
        "relay: relay-b/8",
        "relay: §relay-b/",
        "relay-b/ does not exist: waveshare-relay-8 has channels 1 to 8; count channels as printed on the board",
    ),
    (
        "no channel where there are many",
        "relay: relay-b/8",
        "relay: §relay-b",
        "relay-b has 8 channels; say which, such as relay-b/1",
    ),
    (
        "a meter as a relay",
        "relay: relay-b/8",
        "relay: §meter-b",
        "meter-b (pzem-016) has no relay; name a board that has",
    ),
    (
        "a relay as a meter",
        "    meter: meter-b\n",
        "    meter: §relay-b/1\n",
        "relay-b (waveshare-relay-8) has no meter; name a board that has",
    ),
    (
        "two ports on one relay",
        "relay: relay-b/8",
        "relay: §relay-a/2",
        "relay relay-a/2 belongs to A02 already; give each port a relay and a meter of its own",
    ),
    (
        "two ports on one meter",
        "    meter: meter-b\n",
        "    meter: §meter-a3\n",
        "meter meter-a3/1 belongs to A03 already; give each port a relay and a meter of its own",
    ),
    ("two ports of one id", "id: B01", "id: §A03", "port A03 is described twice; give each port an id of its own"),
    (
        "a range of ports on one relay",
        "relay: relay-a/1..3",
        "relay: §relay-a/1",
        (
            "relay relay-a/1 belongs to A01 already (and 1 more like it); "
            "give each port a relay and a meter of its own"
        ),
    ),
    (
        "a port in no circuit",
        "    circuit: shed-b",
        "    circuit: §shed-c",
        "unknown circuit 'shed-c'; did you mean shed-b, shed-a?",
    ),
    (
        "a port on another phase than its circuit",
        "    circuit: shed-b",
        "    circuit: shed-b\n    phase: §L3",
        "port B01 is on L3, and its circuit shed-b on L2; state the phase it really hangs on, once",
    ),
    (
        "a meter slower than the patience with it",
        "limits: {power_w: 400}",
        "protection: {meter_stale_s: 2.9}",
        (
            "meter_stale_s of 2.9 is shorter than three refreshes of pzem-016; "
            "set meter_stale_s to 3 or more, or use a faster meter"
        ),
    ),
    (
        "thresholds that contradict each other",
        "    limits: {power_w: 400}",
        "    protection: {overcurrent_definite_factor: §1.5}",
        (
            "overcurrent_definite_factor of 1.5 is not below overcurrent_instant_factor of 1.5; "
            "lower overcurrent_definite_factor or raise overcurrent_instant_factor"
        ),
    ),
    (
        "a site's thresholds that do",
        "limits: {power_w: 800",
        "protection: {overpower_instant_factor: 1.2, overpower_factor: §1.3}\nlimits: {power_w: 800",
        (
            "overpower_factor of 1.3 is not below overpower_instant_factor of 1.2; "
            "lower overpower_factor or raise overpower_instant_factor"
        ),
    ),
    (
        "ends of charge that do",
        "limits: {power_w: 800",
        "charge_end: {full_below_w: §2}\nlimits: {power_w: 800",
        "unplugged_below_w of 2 is not below full_below_w of 2; lower unplugged_below_w or raise full_below_w",
    ),
    (
        "a sensor on a board that has none",
        "    circuit: shed-b\n",
        "    circuit: shed-b\n    temperature: §meter-b/1\n",
        "meter-b (pzem-016) has no thermometer; name a board that has",
    ),
    (
        "too few sensors for a range",
        "    circuit: shed-a\n",
        "    circuit: shed-a\n    temperature: §meter-b/1..2\n",
        "'meter-b/1..2' has 2 members beside 3" + RANGE,
    ),
    # Circuits and inputs
    (
        "a circuit that feeds itself",
        "main: {phases: 3}",
        "main: {phases: 3, parent: §main}",
        "circuit main feeds itself; the tree needs a root: leave out one circuit's parent",
    ),
    (
        "an unknown parent",
        "{parent: main, phase: L1}",
        "{parent: §mian, phase: L1}",
        "unknown circuit 'mian'; did you mean main?",
    ),
    (
        "a circuit on another phase than its parent",
        "main: {phases: 3}",
        "main: {phase: L2}",
        "circuit shed-a is on L1, and its circuit main on L2; state the phase it really hangs on, once",
    ),
    (
        "a contactor on a port's relay",
        "{parent: main, phase: L2}",
        "{parent: main, phase: L2, contactor: §relay-b/8}",
        "relay relay-b/8 belongs to B01 already; give each contactor a relay of its own",
    ),
    (
        "a contactor on a meter",
        "{parent: main, phase: L2}",
        "{parent: main, contactor: §meter-b}",
        "meter-b (pzem-016) has no relay; name a board that has",
    ),
    (
        "a feeder meter that is none",
        "{parent: main, phase: L2}",
        "{parent: main, meter: §relay-b}",
        "relay-b (waveshare-relay-8) has no meter; name a board that has",
    ),
    (
        "an unknown feeder meter",
        "{parent: main, phase: L2}",
        "{parent: main, meter: §feeder-b}",
        "unknown board 'feeder-b'; did you mean feeder-a, meter-b, meter-a3?",
    ),
    (
        "an input beyond the board's",
        "limits: {power_w: 800",
        "inputs: {smoke: {input: §io-a/9, kind: smoke, circuit: main}}\nlimits: {power_w: 800",
        "io-a/9 does not exist: waveshare-relay-8-d has channels 1 to 8; count channels as printed on the board",
    ),
    (
        "an input on a board without",
        "limits: {power_w: 800",
        "inputs: {smoke: {input: §relay-b/1, kind: smoke, circuit: main}}\nlimits: {power_w: 800",
        "relay-b (waveshare-relay-8) has no input; name a board that has",
    ),
    (
        "an input of an unknown circuit",
        "limits: {power_w: 800",
        "inputs: {smoke: {input: io-a/1, kind: smoke, circuit: §man}}\nlimits: {power_w: 800",
        "unknown circuit 'man'; did you mean main?",
    ),
    (
        "an input of an unknown kind",
        "limits: {power_w: 800",
        "inputs: {smoke: {input: io-a/1, kind: §fire, circuit: main}}\nlimits: {power_w: 800",
        "inputs.smoke.kind cannot be fire; give 'smoke', 'water', 'heat' or 'emergency_stop'",
    ),
    ("no ports", BASE[BASE.index("ports:") :], "§ports: []\n", "ports is empty; describe at least one"),
]


@pytest.mark.parametrize(
    ("old", "new", "said"), [case[1:] for case in MISTAKES], ids=[case[0] for case in MISTAKES]
)
def test_a_mistake_is_named_at_its_place(old: str, new: str, said: str) -> None:
    text, places = unmarked(changed(old, new))
    found = problems(text)
    assert [problem.split(": ", 1)[1] for problem in found] == [said]
    if places:
        assert found[0].startswith(f"{places[0]}: ")


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    text = changed("name: Shed", "§nam: Shed")
    text = changed("{serial: /dev/line-a}", "{serial: /dev/line-a, parity: §mark}", text)
    text = changed("address: 30", "address: §12", text)
    text = changed("{parent: main, phase: L2}", "{parent: §mian, phase: L2}", text)
    text = changed("power_w: 800", "power_w: §80000", text)
    text = changed("relay-b/8", "§relay-b/9", text)
    text = changed("{power_w: 400}", "{power_w: §0}", text)
    found, places = unmarked(text)
    # The port is wrong by itself, so its wiring is not looked at before that is mended; the rest is all there.
    told = problems(found)
    assert [problem.split(": ", 1)[0] for problem in told] == [*places[:-2], places[-1]]


def test_what_refers_to_something_wrong_is_not_blamed() -> None:
    text = changed("{serial: /dev/line-a}", "{serial: /dev/line-a, parity: §mark}")
    text = changed("relay-b: {bus: line-b", "relay-b: {bus: line-b, lease: §maybe", text)
    text = changed("shed-a: {parent: main, phase: L1}", "shed-a: {parent: main, phase: §L4}", text)
    text, places = unmarked(text)
    assert [problem.split(": ", 1)[0] for problem in problems(text)] == places


@pytest.mark.parametrize("section", ["buses", "boards", "circuits"])
def test_what_may_stand_in_the_other_of_two_sections_is_not_missed(section: str) -> None:
    (found,) = problems(f"{section}: {{}}\n{BASE}")
    assert f"key '{section}' stands in line 1 already" in found


def test_a_wrong_range_of_boards_is_not_missed_by_the_ports_that_use_it() -> None:
    text, places = unmarked(changed("address: 11..13, profile", "address: 11..13, lease: §7, profile"))
    assert [problem.split(": ", 1)[0] for problem in problems(text)] == places


def test_wrong_ports_do_not_shift_the_places_of_those_after_them() -> None:
    text = changed("  - id: A01..A03\n", "  - §\n  - id: A01..A03\n")
    text, places = unmarked(changed("relay-b/8", "§relay-b/9", text))
    found = problems(text)
    assert len(found) == 2
    assert found[1].startswith(f"{places[1]}: relay-b/9 does not exist")


def test_a_baud_rate_must_be_one_of_every_board_of_the_bus() -> None:
    text = changed('"10.0.0.2:4196"}', '"10.0.0.2:4196", baudrate: 19200}')
    text, places = unmarked(changed("meter-b: {bus: line-b", "meter-b: {bus: §line-b", text))
    what = "pzem-016 cannot speak the 19200 Bd of bus line-b; set the bus to a rate all its boards can: 9600"
    assert problems(text) == [f"{places[0]}: {what}"]


def test_only_rates_that_suit_every_board_of_the_bus_are_proposed() -> None:
    text = changed("/dev/line-a}", "/dev/line-a, baudrate: 38400}")
    found = [problem for problem in problems(text) if "38400" in problem]
    assert found
    assert every("a rate all its boards can: 4800, 9600" in problem for problem in found)


def test_modbus_tcp_has_no_baud_rate() -> None:
    site(changed('rtu_over_tcp: "10.0.0.2:4196"', 'tcp: "10.0.0.2:502", baudrate: 19200'))


def test_two_contactors_cannot_share_a_relay() -> None:
    text = changed("{parent: main, phase: L1}", "{parent: main, contactor: io-a/1}")
    text, places = unmarked(changed("{parent: main, phase: L2}", "{parent: main, contactor: §io-a/1}", text))
    what = "relay io-a/1 belongs to circuit shed-a already; give each contactor a relay of its own"
    assert problems(text) == [f"{places[0]}: {what}"]


def test_each_circuit_of_a_cycle_is_named() -> None:
    text = changed("main: {phases: 3}", "main: {phases: 3, parent: §shed-a}")
    text, places = unmarked(changed("{parent: main, phase: L1}", "{parent: §main, phase: L1}", text))
    assert [problem.split(":")[:2] for problem in problems(text)] == [place.split(":") for place in places]


def test_a_port_given_twice_by_an_alias_is_found() -> None:
    text = changed("  - id: B01", "  - &port\n    id: B01") + "  - *port\n"
    assert [problem.split(": ", 1)[1].split(";")[0] for problem in problems(text)] == [
        "port B01 is described twice",
        "relay relay-b/8 belongs to B01 already",
        "meter meter-b/1 belongs to B01 already",
    ]


def test_aliases_that_stand_for_billions_are_refused() -> None:
    bomb = "a: &a [1,1,1,1,1,1,1,1,1,1]\n"
    for this, that in zip("bcdefgh", "abcdefg", strict=True):
        bomb += f"{this}: &{this} [{','.join([f'*{that}'] * 10)}]\n"
    assert "an alias stands for too much" in problems(bomb + BASE)[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "1:1: the file is empty; start from one of the examples"),
        ("# nothing\n", "1:1: the file is empty; start from one of the examples"),
        ("- 1\n", "1:1: this is no configuration; start from one of the examples"),
        ("gateway\n", "1:1: this is no configuration; start from one of the examples"),
        ("[" * 5000, "1:1: nested too deeply; see the examples"),
        (
            "a: \x07\n",
            "1:1: unacceptable character #x0007: special characters are not allowed; write UTF-8 YAML 1.2",
        ),
        (BASE + "---\na: 1\n", "32:1: but found another document; correct the YAML here or just above"),
    ],
)
def test_what_is_no_configuration_at_all(text: str, said: str) -> None:
    assert problems(text) == [said]


def test_a_problem_is_one_line_that_does_nothing_to_a_terminal() -> None:
    text, places = unmarked(changed("limits: {power_w: 800", '§"a\\n\\e[2J": 1\nlimits: {power_w: 800'))
    assert problems(text)[0].startswith(places[0])
    assert every(letter.isprintable() for problem in problems(text) for letter in problem)


def test_a_wrong_board_with_a_name_that_is_no_range_hides_what_may_refer_to_it() -> None:
    text, places = unmarked(changed("meter-a1..meter-a3: {bus: line-a,", "meter-a1..a3: {bus: line-a, lease: §7,"))
    assert [problem.split(": ", 1)[0] for problem in problems(text)] == places


def test_a_gateway_without_a_database_of_time_zones_takes_any(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chargerd.config.values.available_timezones", set)
    assert site(changed("Europe/Berlin", "Mars/Olympus")).gateway.timezone == "Mars/Olympus"


@pytest.mark.parametrize("zone", ["../../etc/passwd", "/etc/passwd", "''"])
def test_a_time_zone_is_not_a_path(zone: str) -> None:
    assert len(problems(changed("timezone: Europe/Berlin", f"timezone: {zone}"))) == 1
