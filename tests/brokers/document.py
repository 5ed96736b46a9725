"""From results to `docs/brokers.md`: tables for the places in `page.md`."""

from pathlib import Path
from typing import Any

from tests.brokers.documented import DOCUMENTED
from tests.brokers.load import RATE, STATES, STOPS_BELOW
from tests.brokers.needs import NEEDS
from tests.brokers.paper import GATEWAYS, Assumptions, cost, paper

PAGE = Path(__file__).with_name("page.md")
NAMES = {
    "mosquitto": "mosquitto",
    "rabbitmq": "RabbitMQ",
    "ejabberd": "ejabberd",
    "iotcore": "iotcore",
    "rabbitmq-quorum": "RabbitMQ, quorum queues",
    "rabbitmq-classic": "RabbitMQ, classic queues",
}
RULES = {
    "mosquitto": "[ready to use](backend/broker/README.md)",
    "rabbitmq": "topic permissions with `{client_id}`, and a regular expression on the session's queue",
    "ejabberd": "`access_publish` and `access_subscribe` with `%u`, `%c`",
    "iotcore": "**none**",
}
HANDSHAKES_PER_S = 650
Rows = list[list[str]]


def document(results: dict[str, Any]) -> str:
    """Return the whole document as Markdown."""
    assumed = Assumptions()
    parts = {**_head(results), **_needs(results), **_others(), **_cluster(results["cluster"])}
    return PAGE.read_text().format(**parts, **_load(results["load"]), **_paper(results, assumed))


def table(head: list[str], rows: Rows) -> str:
    """Return a table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _head(results: dict[str, Any]) -> dict[str, str]:
    machine, versions = results["machine"], results["versions"]
    names = {"mosquitto": "mosquitto", "RabbitMQ": "rabbitmq-server", "ejabberd": "ejabberd"}
    debian = ", ".join(f"{name} {versions[package]}" for name, package in names.items())
    return {
        "versions": f"{debian}, all as Debian 13 has them, and iotcore {versions['iotcore']} from PyPI (rumqttd)",
        "machine": f"{machine['cpu']}, {machine['cores']} cores, {machine['kernel']}",
    }


def _needs(results: dict[str, Any]) -> dict[str, str]:
    brokers = list(results["needs"])
    rows = [
        [need.what, *(_cell(results["needs"][broker].get(need.key)) for broker in brokers), need.without]
        for need in NEEDS
    ]
    rows.append(["who may do what", *(RULES[broker] for broker in brokers), "a gateway speaks for all others"])
    links = results["links"]
    rows.append(["the daemon's own tests", *(_links(links.get(broker)) for broker in brokers), ""])
    return {"needs": table(["", *(NAMES[broker] for broker in brokers), "without it"], rows)}


def _cell(found: dict[str, Any] | None) -> str:
    if found is None:
        return "?"
    word, text = ("yes" if found["ok"] else "**no**"), str(found["text"])
    return f"{word}; {text}" if text else word


def _links(found: dict[str, Any] | None) -> str:
    if found is None:
        return "?"
    failed = ", ".join(f"`{name.removeprefix('test_')}`" for name in found["failed"])
    return f"{found['passed']} pass" + (f", not {failed}" if failed else "")


def _others() -> dict[str, str]:
    rows = [[need.what, *(one.does.get(need.key, "") for one in DOCUMENTED)] for need in NEEDS]
    rows.append(["who may do what", *(one.rules for one in DOCUMENTED)])
    rows.append(["to know", *(one.know for one in DOCUMENTED)])
    return {
        "others": table(["", *(one.name for one in DOCUMENTED)], rows),
        "sources": ", ".join(f"[{one.name}]({one.source})" for one in DOCUMENTED),
    }


def _cluster(trial: dict[str, Any]) -> dict[str, str]:
    head = ["a node is", "connections lost", "all gateways back after", "longest wait of a row for the database"]
    head += ["commands without an answer in 30 s", "slowest answer", "the node is in again after"]
    rows = [
        [
            fault["what"],
            f"{fault['lost_connections']} of {trial['gateways']}",
            f"{fault['all_back_s']:.0f} s",
            f"{fault['row_waited_s']:.0f} s",
            f"{fault['commands']['unanswered']} of {fault['commands']['given']}",
            f"{fault['commands']['slowest_s']:.0f} s",
            f"{fault['node_rejoined_s']:.0f} s",
        ]
        for fault in trial["faults"]
    ]
    found, told, commands = trial["found"], trial["told"], trial["commands"]
    words = ("done", "failed", "rejected", "expired", "unanswered")
    return {
        "gateways": str(trial["gateways"]),
        "away": f"{min(fault['node_away_s'] for fault in trial['faults']):.0f}",
        "faults": table(head, rows),
        "ledger": (
            f"{told['rows']} rows given out, {found['rows']} stored, {found['holes']} missing, {found['gaps']}"
            f" gaps; {told['ended']} settlements given out, {found['ended']} stored, {found['ended_twice']} twice,"
            f" {found['never_ended']} sessions without one"
        ),
        "commands": (
            ", ".join(f"{commands[word]} {word}" for word in words if commands.get(word))
            + f"; {commands['begun_after_their_time']} sessions began after the time of their command was over"
        ),
    }


def _load(load: dict[str, Any]) -> dict[str, str]:
    head = ["", "gateways a core", "memory of a gateway", "processor time of a message", "where it stops"]
    head += ["memory of none"]
    rows = []
    for name, measured in load.items():
        one = cost(measured["ladder"])
        rows.append(
            [
                NAMES[name],
                f"{one['gateways_per_core']:,.0f}",
                f"{one['kib_per_gateway']:.0f} KiB",
                f"{one['ms_per_message']:.3f} ms, so {1000 / one['ms_per_message']:,.0f} a second and core",
                _most(measured["stops"]),
                f"{measured['ladder']['idle_mib']:.0f} MiB",
            ]
        )
    speaking = ", ".join(f"{one['stops']['bad']['gateways']} at {NAMES[name]}" for name, one in load.items())
    return {
        "costs": table(head, rows),
        "ladders": "\n\n".join(
            f"{NAMES[name]}:\n\n{_ladder(one['ladder']['rows'])}" for name, one in load.items()
        ),
        "speaking": f"the same gateways speak faster and faster: {speaking}",
        "states": str(STATES),
        "rate": f"{RATE:g}",
        "below": f"{STOPS_BELOW:.0%}",
    }


def _most(stops: dict[str, Any]) -> str:
    good, bad = stops["good"], stops["bad"]
    least = f"{good['confirmed_per_s']:,} a second went well" if good else "none went well"
    return f"{least}, {bad['offered_per_s']:,} did not ({bad['cores']:.1f} cores)"


def _ladder(rows: list[dict[str, Any]]) -> str:
    head = [
        "gateways",
        "said a second",
        "confirmed",
        "delivered",
        "cores",
        "everybody's",
        "memory",
        "PUBACK p50 / p99",
        "",
    ]
    return table(
        head,
        [
            [
                f"{row['gateways']:,}",
                f"{row['offered_per_s']:,}",
                f"{row['confirmed_per_s']:,}",
                f"{row['received_per_s']:,}",
                f"{row['cores']:.2f}",
                f"{row['busy_cores']:.2f}",
                f"{row['memory_mib']:.0f} MiB",
                f"{row['p50_ms']} / {row['p99_ms']} ms",
                "at its end" if row["ended"] else "",
            ]
            for row in rows
        ],
    )


def _paper(results: dict[str, Any], assumed: Assumptions) -> dict[str, str]:
    each = assumed.up_per_s
    said = ", ".join(f"{what} {rate:.3f}" for what, rate in each.items())
    total = assumed.total_per_s * GATEWAYS
    site = f"{assumed.ports} ports each, {assumed.charging} of them charging, a reading of each every"
    sessions = f"sessions of {assumed.session_h:.0f} h with {assumed.rows_each_session:.0f} rows each,"
    a_day = f"{assumed.sessions_a_day:.0f} sessions a day; {assumed.states} states, again each quarter of an hour;"
    grows = "a message and a gateway cost what they cost above, and no more when there are many: seen up to the"
    assumptions = [
        f"{site} {assumed.reading_s:.0f} s;",
        f"{sessions} {a_day}",
        f"so a gateway says {assumed.total_per_s:.2f} messages a second ({said}), and all of them {total:,.0f};",
        f"{grows} largest row of each table, and not beyond;",
        "the backend reads each message once, and as fast as they come. TLS is extra.",
    ]
    rows = [
        [
            NAMES[name],
            f"{sums['messages_per_s']:,.0f}",
            f"{sums['cores']:.0f}",
            f"{sums['memory_gib']:.1f} GiB",
        ]
        for name, sums in paper(results, assumed)
    ]
    rows_all = assumed.rows_a_day * GATEWAYS
    return {
        "assumptions": "\n".join(f"- {one}" for one in assumptions),
        "sums": table(["", "messages a second", "cores", "memory"], rows),
        "slower": f"{total - each['readings'] * 5 / 6 * GATEWAYS:,.0f}",
        "rows_each": f"{assumed.rows_a_day:.0f}",
        "rows_all": f"{rows_all / 1e6:.0f}",
        "rows_gb": f"{rows_all * assumed.row_bytes / 1e9:.0f}",
        "rows_s": f"{each['rows of the ledger'] * GATEWAYS:,.0f}",
        "handshakes": f"{GATEWAYS / HANDSHAKES_PER_S / 60:.1f}",
    }
