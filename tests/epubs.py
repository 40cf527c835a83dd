"""Small EPUB books made on the spot, whole or broken in one place."""

import zipfile
from pathlib import Path

CONTAINER = """<?xml version="1.0"?>
<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0">
<rootfiles>
<rootfile full-path="OPS/book.opf" media-type="application/oebps-package+xml"/>
</rootfiles>
</container>"""
XHTML = (
    '<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops">'
    "<head><title>Page</title></head><body>{}</body></html>"
)


def page(body: str) -> str:
    return XHTML.format(body)


def package(hrefs: list[str], *, metadata: str = "", extra: str = "", after: str = "") -> str:
    items = "".join(
        f'<item id="i{number}" href="{href}" media-type="application/xhtml+xml"/>'
        for number, href in enumerate(hrefs)
    )
    spine = "".join(f'<itemref idref="i{number}"/>' for number in range(len(hrefs)))
    metadata = metadata or (
        "<dc:title>A Book</dc:title><dc:creator>A. Writer</dc:creator><dc:language>en</dc:language>"
    )
    return (
        '<package xmlns="http://www.idpf.org/2007/opf" version="3.0">'
        f'<metadata xmlns:dc="http://purl.org/dc/elements/1.1/">{metadata}</metadata>'
        f'<manifest>{items}{extra}</manifest><spine toc="ncx">{spine}</spine>{after}</package>'
    )


def write_epub(path: Path, files: dict[str, str | bytes]) -> Path:
    """Write these members, and the two that every EPUB has unless they are given."""
    members: dict[str, str | bytes] = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": CONTAINER,
        **files,
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def book_of(path: Path, pages: dict[str, str], **options: str) -> Path:
    """A book of these pages: body by file name, in the order of the spine."""
    files: dict[str, str | bytes] = {"OPS/book.opf": package(list(pages), **options)}
    files.update({f"OPS/{name}": page(body) for name, body in pages.items()})
    return write_epub(path, files)
