"""A report read by a parser, as a browser would: what is wrong with it, and what it says."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta", "line", "rect", "circle", "polyline", "br", "img", "link"}


class ReportPage(HTMLParser):
    """The page.

    Attributes:
        faults: what a page of ours must not have, in words.
        tags: every element, in order.
        sections: the text of each section, by its id; "" for what is above them.
        captions: of tables.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.faults: list[str] = []
        self.tags: list[str] = []
        self.sections: dict[str, str] = {"": ""}
        self.captions: list[str] = []
        self._open: list[str] = []
        self._ids: set[str] = set()
        self._section = ""
        self._tables: list[bool] = []
        self.feed(html)
        self.close()
        if self._open:
            self.faults.append(f"not closed: {self._open}")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        told = dict(attrs)
        if tag not in VOID:
            self._open.append(tag)
        if (name := told.get("id")) is not None:
            if name in self._ids:
                self.faults.append(f"two elements have the id {name}")
            self._ids.add(name)
        if tag == "section":
            self._section = told["id"] or ""
            self.sections[self._section] = ""
        for attribute in ("href", "src", "xlink:href"):
            if not (told.get(attribute) or "#").startswith("#"):
                self.faults.append(f"{tag} leads to {told[attribute]}")
        if tag in {"script", "img", "link", "iframe", "b", "i" if told == {} else "script"}:
            self.faults.append(f"an element {tag}")
        self.faults += [f"{tag} has {name}" for name in told if name.startswith("on")]
        if tag == "svg" and not (
            told.get("role") == "img" and (told.get("aria-label") or told.get("aria-labelledby"))
        ):
            self.faults.append("a picture without a name")
        if tag == "table":
            self._tables.append(False)
        if tag == "caption":
            self._tables[-1] = True
            self.captions.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        if not self._open or self._open.pop() != tag:
            self.faults.append(f"</{tag}> closes another element")
        if tag == "table" and not self._tables.pop():
            self.faults.append("a table without a caption")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.sections[self._section] += data
        if self._open[-1:] == ["caption"]:
            self.captions[-1] += data
