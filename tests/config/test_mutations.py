"""Whatever is done to a valid file, it is accepted or refused with a place; nothing else comes out."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from chargerd.config.problems import ConfigurationError, Problem
from chargerd.config.site import Site
from tests.config.sites import BASE, site
from tests.judging import every

LINES = BASE.splitlines()
GARBAGE = st.sampled_from(
    [
        "",
        "~",
        "{}",
        "[]",
        "on",
        "-1",
        "0",
        "1e999",
        ".nan",
        "99999999999999999999",
        "a..b",
        "A1..A9",
        "x/1",
        "1..3",
        "&a",
        "*a",
        "!!set {}",
        '"',
        "{",
        "\t",
        "<<: *a",
        "- - -",
        "? x",
        "\x07",
        "é",
        "null: null",
        "0x10",
        "::",
        "2020-01-01",
        "true",
    ]
) | st.text(max_size=12)


def judged(text: str) -> None:
    refused: tuple[Problem, ...] = ()
    found: Site | None = None
    try:
        found = site(text)
    except ConfigurationError as error:
        refused = error.problems
    if found is None:
        assert refused
        # Lines as YAML counts them, which knows more ends of a line than most.
        lines = len(text.splitlines())
        for problem in refused:
            assert 1 <= problem.line <= lines + 1
            assert problem.column >= 1
            assert problem.what
            assert problem.hint
            assert "\n" not in str(problem)
        return
    wired = [(port.relay, port.meter) for port in found.ports]
    assert len({relay for relay, _ in wired}) == len({meter for _, meter in wired}) == len(wired) > 0
    assert every(0 < port.limits.power <= 3500 and 0 < port.limits.current <= 16 for port in found.plan.ports)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    lines = list(LINES)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from(["drop", "double", "swap", "value", "splice", "key"])):
            case "drop":
                del lines[at]
            case "double":
                lines.insert(draw(st.integers(0, len(lines))), lines[at])
            case "swap":
                other = draw(st.integers(0, len(lines) - 1))
                lines[at], lines[other] = lines[other], lines[at]
            case "value":
                lines[at] = f"{lines[at].split(':')[0]}: {draw(GARBAGE)}"
            case "splice":
                cut = draw(st.integers(0, len(lines[at])))
                end = draw(st.integers(cut, len(lines[at])))
                lines[at] = f"{lines[at][:cut]}{draw(GARBAGE)}{lines[at][end:]}"
            case _:
                words = lines[at].split(": ")
                words[draw(st.integers(0, len(words) - 1))] = draw(GARBAGE)
                lines[at] = ": ".join(words)
    return "\n".join(lines)


@settings(max_examples=200, deadline=None)
@given(text=mutated())
@example(text=BASE)
@example(text=BASE.replace("gateway: {", "gateway: &a {").replace("mqtt:", "mqtt: &a"))
@example(text=BASE.replace("line-b: {", '"line\\n\\e[2Jb": {'))
@example(text=BASE.replace("relay-b/8", "relay-b/²"))
@example(text=BASE.replace("{phases: 3}", "{profil: 3, phase: 7}"))
def test_a_mutated_file_is_a_site_or_is_refused_with_places(text: str) -> None:
    judged(text)


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=60))
def test_any_text_is_refused_with_places(text: str) -> None:
    judged(text)


DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
KEYS = [
    "gateway",
    "mqtt",
    "buses",
    "boards",
    "circuits",
    "limits",
    "protection",
    "charge_end",
    "resume",
    "queue",
    "tariff_tiers_w",
    "ports",
    "inputs",
]


@settings(max_examples=100, deadline=None)
@given(key=st.sampled_from(KEYS), data=DATA)
def test_any_data_in_a_section_is_refused_with_places(key: str, data: object) -> None:
    rest = "\n".join(line for line in LINES if not line.startswith(f"{key}:"))
    judged(f"{key}: {flow(data)}\n{rest}" if key in {"gateway", "limits"} else f"{rest}\n{key}: {flow(data)}\n")


def flow(data: object) -> str:
    """Return data as one line of YAML."""
    match data:
        case None:
            return "null"
        case bool():
            return str(data).lower()
        case str():
            return '"' + "".join(f"\\U{ord(letter):08x}" for letter in data) + '"'
        case list():
            return f"[{', '.join(flow(item) for item in data)}]"
        case dict():
            return "{" + ", ".join(f"{flow(key)}: {flow(value)}" for key, value in data.items()) + "}"
        case _:
            return str(data).replace("inf", ".inf").replace("nan", ".nan")
