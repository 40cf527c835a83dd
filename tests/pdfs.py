"""Small PDF files made on the spot, whole or broken in one place."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

# Each of their characters is 0.6 times as wide as the font's size.
FONTS = {"F1": "Courier", "F2": "Courier-Bold"}


@dataclass(frozen=True)
class Line:
    """Text at a place, in points from the page's lower left corner."""

    text: str
    x: float = 72
    y: float = 700
    size: float = 10
    font: str = "F1"
    matrix: str = ""

    def operators(self) -> bytes:
        place = self.matrix or f"1 0 0 1 {self.x} {self.y}"
        text = self.text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
        return f"BT /{self.font} {self.size} Tf {place} Tm ({text}) Tj ET\n".encode("cp1252")


def lines(texts: Sequence[str], *, x: float = 72, top: float = 700, size: float = 10) -> list[Line]:
    """Lines one under the other, at a distance of 1.2 times their size."""
    return [Line(text, x, top - 1.2 * size * place, size) for place, text in enumerate(texts)]


@dataclass(frozen=True)
class Entry:
    """An entry of the outline, which leads to a height on a page."""

    title: str
    page: int
    height: float = 740
    under: tuple["Entry", ...] = ()


@dataclass
class Pdf:
    """
    A PDF file in the making.

    Attributes:
        pages: the lines of each page.
        outline: its entries.
        info: the document's metadata.
        catalog, trailer, page_entries: more entries of these dictionaries.
        image_pages: so many more pages that show one image each.
    """

    pages: list[list[Line]]
    outline: list[Entry] = field(default_factory=list)
    info: dict[str, str] = field(default_factory=dict)
    catalog: str = ""
    trailer: str = ""
    page_entries: str = ""
    image_pages: int = 0
    compress: bool = True

    def to_bytes(self) -> bytes:
        objects: list[bytes] = [b"", b""]  # the catalog and the page tree come last

        def add(content: str | bytes) -> int:
            objects.append(content.encode("latin-1") if isinstance(content, str) else content)
            return len(objects)

        def add_stream(data: bytes, entries: str = "") -> int:
            if self.compress:
                data, entries = zlib.compress(data), entries + "/Filter/FlateDecode"
            head = f"<<{entries}/Length {len(data)}>>\nstream\n".encode()
            return add(head + data + b"\nendstream")

        fonts = "".join(f"/{name} {add(_font(base))} 0 R" for name, base in FONTS.items())
        image = add_stream(
            bytes(100),
            "/Type/XObject/Subtype/Image/Width 10/Height 10/BitsPerComponent 8"
            "/ColorSpace/DeviceGray",
        )
        contents = [b"".join(line.operators() for line in page) for page in self.pages]
        contents += [b"q 500 0 0 700 50 50 cm /I Do Q"] * self.image_pages
        kids = []
        for content in contents:
            stream = add_stream(content)
            kids.append(
                add(
                    f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents {stream} 0 R"
                    f"/Resources<</Font<<{fonts}>>/XObject<</I {image} 0 R>>>>{self.page_entries}>>"
                )
            )
        pages = " ".join(f"{kid} 0 R" for kid in kids)
        objects[1] = f"<</Type/Pages/Kids[{pages}]/Count {len(kids)}>>".encode()
        outlines = ""
        if self.outline:
            root = add("")
            named = _outline(self.outline, root, kids, objects)
            objects[root - 1] = f"<</Type/Outlines{named}>>".encode()
            outlines = f"/Outlines {root} 0 R"
        objects[0] = f"<</Type/Catalog/Pages 2 0 R{outlines}{self.catalog}>>".encode()
        info = add(f"<<{''.join(f'/{key}({value})' for key, value in self.info.items())}>>")
        return pdf_file(objects, f"/Root 1 0 R/Info {info} 0 R{self.trailer}")

    def write(self, path: Path) -> Path:
        path.write_bytes(self.to_bytes())
        return path


def _outline(entries: Sequence[Entry], parent: int, kids: list[int], objects: list[bytes]) -> str:
    """Add an outline's entries; return the part of their parent's dictionary that names them."""
    numbers = range(len(objects) + 1, len(objects) + 1 + len(entries))
    objects += [b""] * len(entries)
    for number, entry in zip(numbers, entries, strict=True):
        parts = [f"/Title({entry.title})/Parent {parent} 0 R"]
        parts.append(f"/Dest[{kids[entry.page]} 0 R/XYZ 0 {entry.height} 0]")
        if number != numbers[-1]:
            parts.append(f"/Next {number + 1} 0 R")
        if entry.under:
            parts.append(_outline(entry.under, number, kids, objects))
        objects[number - 1] = f"<<{''.join(parts)}>>".encode()
    return f"/First {numbers[0]} 0 R/Last {numbers[-1]} 0 R"


def _font(base: str) -> str:
    return f"<</Type/Font/Subtype/Type1/BaseFont/{base}/Encoding/WinAnsiEncoding>>"


def pdf_file(objects: list[bytes], trailer: str) -> bytes:
    data = bytearray(b"%PDF-1.7\n")
    places = []
    for number, content in enumerate(objects, start=1):
        places.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    start = len(data)
    data += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    data += b"".join(b"%010d 00000 n \n" % place for place in places)
    data += f"trailer\n<</Size {len(objects) + 1}{trailer}>>\nstartxref\n{start}\n%%EOF\n".encode()
    return bytes(data)
