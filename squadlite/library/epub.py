"""EPUB 2 and 3: a ZIP archive of XHTML pages in the order of a spine."""

import posixpath
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from lxml import etree

from squadlite.errors import BrokenBookError, ProtectedBookError
from squadlite.library.archive import BookArchive
from squadlite.library.contents import Entry, first_heading, split_page
from squadlite.library.frontmatter import is_publishers_page
from squadlite.library.gutenberg import without_licence
from squadlite.library.kinds import refuse_images
from squadlite.library.markup import (
    local_name,
    page_blocks,
    page_types,
    parse_markup,
    parse_xml,
    semantic_types,
    text_content,
    title_from_name,
)
from squadlite.library.structure import (
    Block,
    Book,
    Chapter,
    count_words,
    join_blocks,
)

_CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"
_LOCKS = ("META-INF/rights.xml", "META-INF/license.lcpl", "META-INF/sinf.xml")
# Obfuscated fonts are the one encryption that leaves the text open.
_FONT_OBFUSCATION = frozenset(
    ["http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC"]
)
_PAGE_TYPES = frozenset(["application/xhtml+xml", "text/html", "text/x-oeb1-document"])
MAX_SPINE_ITEMS = 10_000


@dataclass(frozen=True)
class _Item:
    """A manifest item that is in the archive."""

    href: str
    media_type: str
    properties: frozenset[str]


@dataclass(frozen=True)
class _Package:
    """The package document: what the book is and which pages it has."""

    metadata: dict[str, str]
    spine: list[_Item]
    toc: str | None
    guide: dict[str, str]
    cover: str | None
    images: int


def read_epub(path: Path) -> Book:
    """
    Read an EPUB 2 or 3 book.

    Chapters are the pages of the spine, or parts of a page where the table of contents points
    into it. Title pages, imprints, licences and tables of contents are left out. Manifest items
    that the archive lacks are passed over.

    Raises:
        BrokenBookError: damaged or hostile, or without any text.
        ProtectedBookError: locked by DRM.
        UnsupportedBookError: its pages are images.
    """
    with BookArchive(path) as archive:
        _refuse_locked(archive, path)
        package = _read_package(archive, path)
        entries, skipped = _read_navigation(archive, package)
        pages = _read_pages(archive, package, skipped)
        cover = archive.read_cover(package.cover)
    words = sum(count_words(page.blocks) for page in pages)
    refuse_images(path, words=words, images=package.images)
    chapters = _chapters(pages, entries, book_title=package.metadata.get("title", ""))
    if not chapters:
        raise BrokenBookError(f"{path.name}: no text in any of {len(package.spine)} pages")
    return Book(
        title=package.metadata.get("title") or title_from_name(path),
        author=package.metadata.get("creator", ""),
        language=package.metadata.get("language", ""),
        chapters=tuple(
            Chapter(index, title, href, text) for index, (title, href, text) in enumerate(chapters)
        ),
        identifier=package.metadata.get("identifier", ""),
        cover=cover,
    )


def _refuse_locked(archive: BookArchive, path: Path) -> None:
    for name in _LOCKS:
        if archive.find(name):
            raise ProtectedBookError(
                f"{path.name}: locked by DRM ({name}); squadlite can't read it"
            )
    encryption = archive.find(_ENCRYPTION)
    if encryption is None:
        return
    root = parse_xml(archive.read(encryption))
    if root is None:
        raise BrokenBookError(f"{path.name}: {_ENCRYPTION}: not XML, expected what is encrypted")
    for method in root.iterfind(".//{*}EncryptionMethod"):
        if method.get("Algorithm", "") not in _FONT_OBFUSCATION:
            raise ProtectedBookError(
                f"{path.name}: locked by DRM (encrypted with {method.get('Algorithm')}), "
                "which can't be read"
            )


def _read_package(archive: BookArchive, path: Path) -> _Package:
    opf = _package_name(archive, path)
    root = parse_xml(archive.read(opf))
    if root is None or local_name(root) != "package":
        raise BrokenBookError(f"{path.name}: {opf}: not an XML package document")
    folder = posixpath.dirname(opf)
    manifest: dict[str, _Item] = {}
    for element in root.iterfind(".//{*}manifest/{*}item"):
        href = _member(archive, folder, element.get("href", ""))
        identifier = element.get("id")
        if href is not None and identifier is not None:
            properties = frozenset(element.get("properties", "").split())
            media_type = element.get("media-type", "").lower()
            manifest.setdefault(identifier, _Item(href, media_type, properties))
    references = [element.get("idref", "") for element in root.iterfind(".//{*}spine/{*}itemref")]
    if len(references) > MAX_SPINE_ITEMS:
        raise BrokenBookError(
            f"{path.name}: {len(references)} pages, expected at most {MAX_SPINE_ITEMS}"
        )
    # A page named twice is still one page of the book.
    spine = list(dict.fromkeys(manifest[name] for name in references if name in manifest))
    if not spine:
        raise BrokenBookError(
            f"{path.name}: none of the {len(references)} pages in its spine is in the archive"
        )
    return _Package(
        metadata=_metadata(root),
        spine=spine,
        toc=_toc_item(root, manifest),
        guide=_guide(archive, folder, root),
        cover=_cover_item(root, manifest),
        images=sum(item.media_type.startswith("image/") for item in set(manifest.values())),
    )


def _package_name(archive: BookArchive, path: Path) -> str:
    container = archive.find(_CONTAINER)
    if container is None:
        raise BrokenBookError(f"{path.name}: no {_CONTAINER} inside, expected an EPUB's")
    root = parse_xml(archive.read(container))
    rootfiles = [] if root is None else list(root.iterfind(".//{*}rootfile"))
    for rootfile in rootfiles:
        name = _member(archive, "", rootfile.get("full-path", ""))
        if name is not None:
            return name
    raise BrokenBookError(f"{path.name}: {_CONTAINER} names no package document in the archive")


def _member(archive: BookArchive, folder: str, href: str) -> str | None:
    """The archive member that a link leads to; None where it leads nowhere or outside."""
    target = _resolve(folder, href)
    if target is None:
        return None
    return archive.find(target) or archive.find(unquote(target))


def _resolve(folder: str, href: str) -> str | None:
    try:
        parts = urlsplit(href.strip())
    except ValueError:
        return None
    if parts.scheme or parts.netloc or not parts.path or parts.path.startswith(("/", "\\")):
        return None
    target = posixpath.normpath(posixpath.join(folder, parts.path))
    return None if target.startswith("..") else target


def _metadata(root: etree._Element) -> dict[str, str]:
    fields: dict[str, list[str]] = {"title": [], "creator": [], "language": [], "identifier": []}
    for element in root.iterfind(".//{*}metadata//{*}*"):
        name = local_name(element)
        if name not in fields or "purl.org/dc" not in str(element.tag):
            continue
        if name != "identifier" or element.get("id") == root.get("unique-identifier"):
            fields[name].append(text_content(element))
    found = {name: [value for value in values if value] for name, values in fields.items()}
    return {
        "title": next(iter(found["title"]), ""),
        "creator": ", ".join(dict.fromkeys(found["creator"])),
        "language": next(iter(found["language"]), ""),
        "identifier": next(iter(found["identifier"]), ""),
    }


def _cover_item(root: etree._Element, manifest: dict[str, _Item]) -> str | None:
    """The href of the cover's image: EPUB 3 marks the item, EPUB 2 names it in the metadata."""
    for item in manifest.values():
        if "cover-image" in item.properties:
            return item.href
    for meta in root.iterfind(".//{*}metadata//{*}meta"):
        if meta.get("name") == "cover" and meta.get("content", "") in manifest:
            return manifest[meta.get("content", "")].href
    return None


def _toc_item(root: etree._Element, manifest: dict[str, _Item]) -> str | None:
    """The href of the table of contents: EPUB 3's nav page, else EPUB 2's NCX."""
    for item in manifest.values():
        if "nav" in item.properties:
            return item.href
    spine = root.find(".//{*}spine")
    named = manifest.get(spine.get("toc", "")) if spine is not None else None
    if named is not None:
        return named.href
    ncx = (item for item in manifest.values() if item.media_type == "application/x-dtbncx+xml")
    return next((item.href for item in ncx), None)


def _guide(archive: BookArchive, folder: str, root: etree._Element) -> dict[str, str]:
    """EPUB 2's guide: what some pages are, by href. Links into a page say nothing of all of it."""
    guide: dict[str, str] = {}
    for reference in root.iterfind(".//{*}guide/{*}reference"):
        href = reference.get("href", "")
        member = _member(archive, folder, href)
        if member is not None and "#" not in href:
            guide[member] = reference.get("type", "").lower()
    return guide


def _read_navigation(archive: BookArchive, package: _Package) -> tuple[list[Entry], dict[str, str]]:
    """The table of contents, and what the landmarks or the guide say of some pages."""
    pages = dict(package.guide)
    if package.toc is None:
        return [], pages
    root = parse_xml(archive.read(package.toc))
    if root is None:
        return [], pages
    folder = posixpath.dirname(package.toc)
    if local_name(root) == "ncx":
        return _ncx_entries(archive, folder, root), pages
    entries: list[Entry] = []
    for nav in root.iterfind(".//{*}nav"):
        types = semantic_types(nav)
        if "toc" in types and not entries:
            entries = _nav_entries(archive, folder, nav)
        if "landmarks" in types:
            for link in nav.iterfind(".//{*}a"):
                href = link.get("href", "")
                member = _member(archive, folder, href)
                if member is not None and "#" not in href:
                    pages[member] = " ".join(semantic_types(link))
    pages[package.toc] = "toc"
    return entries, pages


def _nav_entries(archive: BookArchive, folder: str, nav: etree._Element) -> list[Entry]:
    entries = []
    for link in nav.iterfind(".//{*}a"):
        depth = sum(local_name(parent) in ("ol", "ul") for parent in link.iterancestors())
        entries.append(_entry(archive, folder, text_content(link), link.get("href", ""), depth))
    return [entry for entry in entries if entry is not None]


def _ncx_entries(archive: BookArchive, folder: str, root: etree._Element) -> list[Entry]:
    entries = []
    for point in root.iterfind(".//{*}navMap//{*}navPoint"):
        label, content = point.find("{*}navLabel"), point.find("{*}content")
        if label is None or content is None:
            continue
        depth = sum(local_name(parent) == "navpoint" for parent in point.iterancestors())
        entries.append(_entry(archive, folder, text_content(label), content.get("src", ""), depth))
    return [entry for entry in entries if entry is not None]


def _entry(archive: BookArchive, folder: str, title: str, href: str, depth: int) -> Entry | None:
    member = _member(archive, folder, href)
    if member is None or not title:
        return None
    return Entry(title, member, unquote(href.partition("#")[2]), depth)


@dataclass(frozen=True)
class _Page:
    """A page of the spine and its text."""

    href: str
    blocks: list[Block]


def _read_pages(archive: BookArchive, package: _Package, known: dict[str, str]) -> list[_Page]:
    """The pages of the spine that have text of the book."""
    pages: list[_Page] = []
    publishers: list[_Page] = []
    for item in package.spine:
        if item.media_type and item.media_type not in _PAGE_TYPES:
            continue
        root = parse_markup(archive.read(item.href))
        if root is None:
            continue
        blocks = without_licence(page_blocks(root))
        if not blocks:
            continue
        page = _Page(item.href, blocks)
        types = page_types(root) | set(known.get(item.href, "").split())
        skipped = item.href == package.toc or is_publishers_page(item.href, types, blocks)
        (publishers if skipped else pages).append(page)
    # A book of nothing but "title pages" is one that labels its pages wrongly.
    return pages or publishers


def _chapters(
    pages: list[_Page], entries: list[Entry], *, book_title: str
) -> list[tuple[str, str, str]]:
    """Title, href and text of each chapter."""
    by_page: dict[str, list[Entry]] = {}
    for entry in entries:
        by_page.setdefault(entry.href, []).append(entry)
    chapters = []
    for page in pages:
        name = posixpath.splitext(posixpath.basename(page.href))[0]
        for part in split_page(page.blocks, by_page.get(page.href, [])):
            title = part.title or first_heading(part.blocks) or name
            href = f"{page.href}#{part.anchor}" if part.anchor else page.href
            chapters.append((title, href, join_blocks(part.blocks)))
    return chapters
