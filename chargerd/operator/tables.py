"""The operator's database: its tables, and how connections to it are made."""

import sqlite3
from pathlib import Path

TABLES = """
CREATE TABLE IF NOT EXISTS ledger (
    gateway TEXT NOT NULL, stream TEXT NOT NULL, seq INTEGER NOT NULL, upto INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (gateway, stream, seq));
CREATE INDEX IF NOT EXISTS reach ON ledger (gateway, stream, upto);
CREATE TABLE IF NOT EXISTS through (
    gateway TEXT NOT NULL, stream TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (gateway, stream));
CREATE TABLE IF NOT EXISTS boot (
    gateway TEXT NOT NULL, stream TEXT NOT NULL, boot INTEGER NOT NULL, offset_ms INTEGER NOT NULL,
    PRIMARY KEY (gateway, stream, boot));
CREATE TABLE IF NOT EXISTS alarm (
    gateway TEXT NOT NULL, stream TEXT NOT NULL, seq INTEGER NOT NULL, at REAL NOT NULL, severity TEXT NOT NULL,
    event TEXT NOT NULL, port TEXT, reason TEXT, PRIMARY KEY (gateway, stream, seq));
CREATE INDEX IF NOT EXISTS alarms_by_time ON alarm (at);
CREATE TABLE IF NOT EXISTS session (
    gateway TEXT NOT NULL, session_id TEXT NOT NULL, port TEXT NOT NULL, stream TEXT NOT NULL,
    heard_at REAL NOT NULL, started_at REAL, started_boot INTEGER, started_up_ms INTEGER,
    ended_at REAL, ended_boot INTEGER, ended_up_ms INTEGER,
    order_id TEXT, source TEXT,
    energy_wh INTEGER NOT NULL, charging_s INTEGER NOT NULL, suspended_s INTEGER NOT NULL,
    settled INTEGER NOT NULL DEFAULT 0, stop_reason TEXT, quality TEXT, peak_power_w REAL, tiers TEXT,
    amount INTEGER, tariff TEXT, paid INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (gateway, session_id));
CREATE INDEX IF NOT EXISTS sessions_by_time ON session (settled, heard_at);
CREATE INDEX IF NOT EXISTS sessions_by_socket ON session (gateway, port, heard_at);
CREATE INDEX IF NOT EXISTS unpaid ON session (paid) WHERE settled = 1 AND paid = 0;
CREATE TABLE IF NOT EXISTS socket (
    gateway TEXT NOT NULL, port TEXT NOT NULL, label TEXT NOT NULL, PRIMARY KEY (gateway, port));
CREATE TABLE IF NOT EXISTS ride (
    session_id TEXT PRIMARY KEY, gateway TEXT NOT NULL, port TEXT NOT NULL, phone TEXT NOT NULL,
    receipt TEXT NOT NULL UNIQUE, tap TEXT NOT NULL UNIQUE, asked_at REAL NOT NULL, until REAL NOT NULL,
    goal TEXT NOT NULL, amount_limit INTEGER, tariff TEXT NOT NULL, rider TEXT, stream TEXT,
    status TEXT NOT NULL DEFAULT 'asked', code TEXT NOT NULL DEFAULT '', closed INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS rides_by_socket ON ride (gateway, port, asked_at);
CREATE INDEX IF NOT EXISTS rides_by_phone ON ride (phone, asked_at);
CREATE INDEX IF NOT EXISTS open_rides ON ride (closed) WHERE closed = 0;
CREATE TABLE IF NOT EXISTS command (
    id TEXT PRIMARY KEY, gateway TEXT NOT NULL, name TEXT NOT NULL, ttl_s INTEGER NOT NULL, args TEXT NOT NULL,
    until REAL NOT NULL, asked_by TEXT NOT NULL, port TEXT, session_id TEXT,
    status TEXT NOT NULL DEFAULT 'sent', code TEXT NOT NULL DEFAULT '', message TEXT NOT NULL DEFAULT '');
CREATE INDEX IF NOT EXISTS commands_by_socket ON command (gateway, port, until);
CREATE INDEX IF NOT EXISTS unanswered ON command (status) WHERE status = 'sent';
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
BUSY_MS = 10_000


def connect(path: Path | str) -> sqlite3.Connection:
    """Open the database, make its tables if need be. What is committed is on the disk.

    Transactions are begun by whoever writes; each connection has one user at a time, by a lock.
    """
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.row_factory = sqlite3.Row
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    db.executescript(TABLES)
    return db
