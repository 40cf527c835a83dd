"""Small DOCX and ODT documents made on the spot, whole or broken in one place."""

import zipfile
from pathlib import Path

WORD = (
    'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" '
    'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" '
    'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
)
CORE = (
    'xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/core-properties" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/"'
)
OPEN = " ".join(
    f'xmlns:{prefix}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
    for prefix, name in {
        "office": "office",
        "text": "text",
        "table": "table",
        "style": "style",
        "draw": "drawing",
        "meta": "meta",
        "fo": "xsl-fo-compatible",
    }.items()
)
RELATIONSHIPS = (
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="r1" Target="{}" Type="http://schemas.openxmlformats.org/officeDocument/'
    '2006/relationships/officeDocument"/></Relationships>'
)
WORD_STYLES = (
    '<w:docDefaults><w:rPrDefault><w:rPr><w:lang w:val="de-AT"/></w:rPr></w:rPrDefault>'
    '</w:docDefaults><w:style w:styleId="H1"><w:name w:val="Heading 1"/><w:pPr>'
    '<w:outlineLvl w:val="0"/></w:pPr></w:style>'
    '<w:style w:styleId="Mine"><w:name w:val="Mine"/><w:basedOn w:val="H1"/></w:style>'
    '<w:style w:styleId="Named"><w:name w:val="heading 2"/></w:style>'
    '<w:style w:styleId="T1"><w:name w:val="toc 1"/></w:style>'
    '<w:style w:styleId="Round"><w:name w:val="Round"/><w:basedOn w:val="Round"/></w:style>'
)


def write_archive(path: Path, members: dict[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def word_paragraph(text: str, style: str = "") -> str:
    properties = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{properties}<w:r><w:t>{text}</w:t></w:r></w:p>"


def write_docx(
    path: Path, body: str, *, core: str = "", members: dict[str, str | bytes] | None = None
) -> Path:
    """A Word document of this body; `members` are added, or take the place of others."""
    made: dict[str, str | bytes] = {
        "_rels/.rels": RELATIONSHIPS.format("word/document.xml"),
        "word/document.xml": f"<w:document {WORD}><w:body>{body}</w:body></w:document>",
        "word/styles.xml": f"<w:styles {WORD}>{WORD_STYLES}</w:styles>",
        "docProps/core.xml": f"<cp:coreProperties {CORE}>{core}</cp:coreProperties>",
    }
    return write_archive(path, made | (members or {}))


def write_odt(
    path: Path,
    body: str,
    *,
    styles: str = "",
    metadata: str = "",
    members: dict[str, str | bytes] | None = None,
) -> Path:
    """An OpenDocument text of this body; `members` are added, or take the place of others."""
    made: dict[str, str | bytes] = {
        "mimetype": "application/vnd.oasis.opendocument.text",
        "content.xml": (
            f"<office:document-content {OPEN}><office:automatic-styles>"
            '<style:style style:name="P1" style:parent-style-name="Chapter"/>'
            "</office:automatic-styles>"
            f"<office:body><office:text>{body}</office:text></office:body>"
            "</office:document-content>"
        ),
        "styles.xml": (
            f"<office:document-styles {OPEN}><office:styles>"
            '<style:style style:name="Chapter" style:default-outline-level="1"/>'
            '<style:default-style><style:text-properties fo:language="de" fo:country="AT"/>'
            f"</style:default-style>{styles}</office:styles></office:document-styles>"
        ),
        "meta.xml": (
            f'<office:document-meta {OPEN} xmlns:dc="http://purl.org/dc/elements/1.1/">'
            f"<office:meta>{metadata}</office:meta></office:document-meta>"
        ),
    }
    return write_archive(path, made | (members or {}))
