"""The operator beside the demo: where it is served, what is shown of it, and a visitor who finds nothing."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from chargerd.cli import demo_visitor
from chargerd.cli.demo_pages import Pages, code, listening, missing
from chargerd.cli.demo_parts import DemoError
from chargerd.cli.demo_visitor import Visitor
from tests.patience import PATIENCE_S


def test_another_port_is_taken_where_none_is_named_and_the_usual_one_is_not_free() -> None:
    with listening("127.0.0.1") as first, listening("127.0.0.1") as second:
        assert first.getsockname() != second.getsockname()
        taken = f"127.0.0.1:{first.getsockname()[1]}"
        with pytest.raises(DemoError, match=f"nothing can be served on {taken}"):
            listening(taken)


@pytest.mark.parametrize("where", ["127.0.0.1:x", "127.0.0.1:99999", "192.0.2.1", "no.such.host.invalid"])
def test_what_cannot_be_served_is_told_with_a_way_out(where: str) -> None:
    with pytest.raises(DemoError, match="--pages"):
        listening(where)


def test_the_code_is_for_a_terminal_of_any_width() -> None:
    assert missing() == ()
    shown = code(Pages("http://192.168.100.200:8080", "u", "p").socket("demo", "A01")).splitlines()
    assert len(shown) <= 20
    assert max(len(line) for line in shown) <= 40


@contextmanager
def serving(page: str) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def test_a_visitor_who_never_finds_the_socket_free_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_visitor, "ENOUGH_S", 0.5)
    with serving('<h1 class="state taken">In use</h1>') as url:
        visitor = Visitor(url, "/s/demo/A01")
        visitor.start()
        told = visitor.told.get(timeout=PATIENCE_S)
        visitor.stop()
    assert (told.kind, told.text) == ("page_gave_up", "the page is never free")


def test_a_visitor_goes_home_when_the_demo_ends() -> None:
    visitor = Visitor("http://127.0.0.1:1", "/s/demo/A01")
    visitor.start()
    visitor.stop()
    assert visitor.told.empty()
