BEGIN TRANSACTION;
CREATE TABLE acknowledgements (through INTEGER PRIMARY KEY, wall_ms INTEGER) STRICT;
INSERT INTO "acknowledgements" VALUES(1,1760000000000);
CREATE TABLE boots (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE) STRICT;
INSERT INTO "boots" VALUES(1,'boot-early');
CREATE TABLE commands (
            command TEXT PRIMARY KEY,
            digest TEXT NOT NULL,
            data TEXT NOT NULL,
            reply TEXT,
            final INTEGER NOT NULL DEFAULT 0,
            wall_ms INTEGER
        , leaves INTEGER) STRICT;
INSERT INTO "commands" VALUES('c1','d1','{"v":1,"data":{"command":"c1","name":"start","digest":"d1","moment":{"instant":1.5,"boot":1,"wall_ms":1760000000000,"clock":"ntp"},"port":"A01","session":"s1","order":null}}',NULL,0,1760000000000,NULL);
INSERT INTO "commands" VALUES('c2','d1','{"v":1,"data":{"command":"c2","name":"start","digest":"d1","moment":{"instant":1.5,"boot":1,"wall_ms":1760000000000,"clock":"ntp"},"port":"A01","session":"s2","order":null}}','{"status": "done", "code": "ok"}',1,1760000000000,169);
CREATE TABLE disabled (holder TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT;
INSERT INTO "disabled" VALUES('A02','{"v":1,"data":{"holder":"A02","source":"local","reason":"a worn plug","since":{"instant":1.5,"boot":1,"wall_ms":1760000000000,"clock":"ntp"}}}');
CREATE TABLE identities (board TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT;
INSERT INTO "identities" VALUES('meter','{"v":1,"data":{"board":"meter","words":[291,17767]}}');
CREATE TABLE latches (
            port TEXT NOT NULL,
            function TEXT NOT NULL,
            latch TEXT NOT NULL,
            PRIMARY KEY (port, function)
        ) STRICT;
INSERT INTO "latches" VALUES('A01','relay_will_not_open','{"v":1,"data":{"port":"A01","function":"relay_will_not_open","clearing":"lock_out","detail":null}}');
CREATE TABLE ledger (
            seq INTEGER PRIMARY KEY,
            kind TEXT NOT NULL,
            body TEXT NOT NULL,
            instant REAL NOT NULL,
            boot INTEGER NOT NULL,
            wall_ms INTEGER,
            clock TEXT NOT NULL,
            offline INTEGER NOT NULL,
            settlement INTEGER NOT NULL,
            previous TEXT
        ) STRICT;
INSERT INTO "ledger" VALUES(1,'session','{"event": "started", "session_id": "s1"}',1.5,1,1760000000000,'ntp',0,0,NULL);
INSERT INTO "ledger" VALUES(2,'session','{"event": "ended", "session_id": "s2", "energy_wh": 7, "digest": "ae3374d56d9d6012d2dd136bb01d76b689ddc0be38e49e9c21d9672b2295e133"}',1.5,1,1760000000000,'ntp',0,1,NULL);
INSERT INTO "ledger" VALUES(3,'event','{"event": "x"}',1.5,1,1760000000000,'ntp',0,0,NULL);
INSERT INTO "ledger" VALUES(4,'session','{"event": "ended", "session_id": "s0", "energy_wh": 3, "digest": "3433331afaa64a6fd42d609c4f35f2e85e914a7f7da88cec1b1b8cb798cbcb88"}',1.5,1,1760000000000,'ntp',0,1,'ae3374d56d9d6012d2dd136bb01d76b689ddc0be38e49e9c21d9672b2295e133');
CREATE TABLE notes (
            id INTEGER PRIMARY KEY,
            after INTEGER NOT NULL,
            body TEXT NOT NULL,
            instant REAL NOT NULL,
            boot INTEGER NOT NULL,
            wall_ms INTEGER,
            clock TEXT NOT NULL
        ) STRICT;
CREATE TABLE session_ids (session TEXT PRIMARY KEY, wall_ms INTEGER) STRICT;
INSERT INTO "session_ids" VALUES('s1',1760000000000);
INSERT INTO "session_ids" VALUES('s2',1760000000000);
CREATE TABLE sessions (
            session TEXT PRIMARY KEY REFERENCES session_ids (session),
            record TEXT NOT NULL
        ) STRICT;
INSERT INTO "sessions" VALUES('s1','{"v":1,"data":{"order":{"session":"s1","port":"A01","limits":{"current":5.0,"power":500.0,"duration":36000.0,"energy":null},"order":null,"tiers":[],"source":"remote","command":"c1","queue_for":null},"started":{"instant":1.5,"boot":1,"wall_ms":1760000000000,"clock":"ntp"},"at":{"instant":1.5,"boot":1,"wall_ms":1760000000000,"clock":"ntp"},"meter_start":null,"last_register":null,"energy":12.5,"charging":12.5,"suspended":0.0,"peak_power":0.0,"peak_power_first_5_min":0.0,"tiers":[],"interruptions":[],"theta":0.0}}');
CREATE TABLE state (
            one INTEGER PRIMARY KEY CHECK (one = 1),
            stream TEXT NOT NULL,
            last INTEGER NOT NULL DEFAULT 0,
            acked INTEGER NOT NULL DEFAULT 0,
            settled TEXT,
            starts INTEGER NOT NULL DEFAULT 0,
            connections INTEGER NOT NULL DEFAULT 0,
            salvaged TEXT,
            latches_unknown INTEGER NOT NULL DEFAULT 0
        , dropped INTEGER NOT NULL DEFAULT 0, copied_ms INTEGER, begun INTEGER NOT NULL DEFAULT 0, gateway TEXT, machine TEXT, hours INTEGER NOT NULL DEFAULT 0, command_bytes INTEGER NOT NULL DEFAULT 0, moved INTEGER NOT NULL DEFAULT 0, unsettled TEXT) STRICT;
INSERT INTO "state" VALUES(1,'01J9ZSTREAMOFANEARLYONE000',4,1,'3433331afaa64a6fd42d609c4f35f2e85e914a7f7da88cec1b1b8cb798cbcb88',1,4,NULL,0,0,1760000000000,0,'shed-1','0123456789abcdef',0,710,0,NULL);
CREATE TABLE warmth (port TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT;
INSERT INTO "warmth" VALUES('A01','{"v":1,"data":{"port":"A01","theta":0.75,"at":{"instant":1.5,"boot":1,"wall_ms":1760000000000,"clock":"ntp"}}}');
CREATE INDEX settlements ON ledger (seq) WHERE settlement = 1;
CREATE INDEX unfinished ON commands (final) WHERE final = 0;
CREATE INDEX leaving ON commands (leaves) WHERE leaves IS NOT NULL;
CREATE TRIGGER command_comes AFTER INSERT ON commands BEGIN
            UPDATE state SET command_bytes = command_bytes + 160 + coalesce(length(CAST(new.command AS BLOB)), 0) + coalesce(length(CAST(new.command AS BLOB)), 0) + coalesce(length(CAST(new.digest AS BLOB)), 0) + coalesce(length(CAST(new.data AS BLOB)), 0) + coalesce(length(CAST(new.reply AS BLOB)), 0);
        END;
CREATE TRIGGER command_changes AFTER UPDATE OF reply ON commands BEGIN
            UPDATE state SET command_bytes = command_bytes + 160 + coalesce(length(CAST(new.command AS BLOB)), 0) + coalesce(length(CAST(new.command AS BLOB)), 0) + coalesce(length(CAST(new.digest AS BLOB)), 0) + coalesce(length(CAST(new.data AS BLOB)), 0) + coalesce(length(CAST(new.reply AS BLOB)), 0) - (160 + coalesce(length(CAST(old.command AS BLOB)), 0) + coalesce(length(CAST(old.command AS BLOB)), 0) + coalesce(length(CAST(old.digest AS BLOB)), 0) + coalesce(length(CAST(old.data AS BLOB)), 0) + coalesce(length(CAST(old.reply AS BLOB)), 0));
        END;
CREATE TRIGGER command_leaves AFTER DELETE ON commands BEGIN
            UPDATE state SET command_bytes = command_bytes - (160 + coalesce(length(CAST(old.command AS BLOB)), 0) + coalesce(length(CAST(old.command AS BLOB)), 0) + coalesce(length(CAST(old.digest AS BLOB)), 0) + coalesce(length(CAST(old.data AS BLOB)), 0) + coalesce(length(CAST(old.reply AS BLOB)), 0));
        END;
COMMIT;
PRAGMA user_version = 10;
