"""A rider without a browser: opens a socket's page as a phone without script does, and presses its buttons."""

from collections.abc import Mapping
from html.parser import HTMLParser
from http.client import HTTPConnection, HTTPException
from http.cookies import SimpleCookie
from urllib.parse import urlencode, urlsplit

PATIENCE_S = 20.0
MOST_REDIRECTS = 5


class Page(HTMLParser):
    """What a page says and asks. `kind`: how the socket stands, as its headline has it in its class."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.kind = ""
        self.text = ""
        self.forms: dict[str, dict[str, str]] = {}
        """The fields of each form, as they are filled in, by where it goes."""
        self.links: list[str] = []
        self._form: dict[str, str] = {}
        self._hidden = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of headlines, forms and links."""
        given = {name: value or "" for name, value in attrs}
        if "hidden" in given:
            self._hidden = tag
        if tag == "h1":
            self.kind = given.get("class", "").removeprefix("state ")
        elif tag == "form":
            self._form = self.forms.setdefault(given.get("action", ""), {})
        elif tag == "input" and "name" in given and (given.get("type") != "radio" or "checked" in given):
            self._form[given["name"]] = given.get("value", "")
        elif tag == "a":
            self.links.append(given.get("href", ""))

    def handle_endtag(self, tag: str) -> None:
        """Hear again what is shown."""
        if tag == self._hidden:
            self._hidden = ""

    def handle_data(self, data: str) -> None:
        """Take note of the text that is shown."""
        if not self._hidden:
            self.text += data


class Phone:
    """A phone with its cookies. Raises `OSError` if the operator cannot be reached."""

    def __init__(self, url: str, language: str = "en") -> None:
        self.base = url.rstrip("/")
        self.cookies: dict[str, str] = {}
        self.status = 0
        self._language = language

    def open(self, path: str, form: Mapping[str, str] | None = None) -> Page:
        """Open a page, or send a form, and return the page that follows."""
        location, text = self._ask(path, form)
        for _ in range(MOST_REDIRECTS):
            if location:
                location, text = self._ask(location, None)
        return Page(text)

    def press(self, page: Page, button: str, **fields: str) -> Page:
        """Send the form of a page that goes to a path with this end. Raises `KeyError` if it has none."""
        action = next((one for one in page.forms if one.endswith(f"/{button}")), None)
        if action is None:
            raise KeyError(f"the page has no {button}: {page.kind}")
        return self.open(action, {**page.forms[action], **fields})

    def _ask(self, path: str, form: Mapping[str, str] | None) -> tuple[str, str]:
        parts = urlsplit(self.base)
        connection = HTTPConnection(parts.hostname or "", parts.port or 80, timeout=PATIENCE_S)
        headers = {"Accept-Language": self._language}
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            body = None if form is None else urlencode(form)
            connection.request("GET" if form is None else "POST", path, body, headers)
            response = connection.getresponse()
            text = response.read().decode("utf-8", "replace")
        except HTTPException as error:
            raise ConnectionError(f"what came from {self.base} is cut short: {error!r}") from error
        finally:
            connection.close()
        for name, value in response.getheaders():
            if name.lower() == "set-cookie":
                self.cookies |= {key: morsel.value for key, morsel in SimpleCookie(value).items()}
        self.status = response.status
        return response.getheader("Location") or "", text
