"""What word processors' documents have in common: styles, and archives of XML."""

import re

from lxml import etree

from squadlite.library.archive import BookArchive
from squadlite.library.markup import parse_xml, text_content

# Styles are based on others; more of them in a row than this go round in circles.
MAX_STYLE_DEPTH = 20
_HEADING_NAME = re.compile(r"heading ([1-6])|title", re.IGNORECASE)


def named_level(style: str) -> int | None:
    """The heading level that Word's name of a style tells; None for any other name."""
    heading = _HEADING_NAME.fullmatch(style)
    return int(heading[1] or 1) if heading else None


def read_part(archive: BookArchive, name: str) -> etree._Element | None:
    """
    The root of an XML member; None where there is none, or it isn't XML.

    Raises:
        BrokenBookError: the member is damaged, or beyond a limit.
    """
    member = archive.find(name)
    return None if member is None else parse_xml(archive.read(member))


def attribute(element: etree._Element, name: str) -> str:
    """An attribute by its name in whatever namespace; "" where there is none."""
    for key, value in element.attrib.items():
        if str(key).rpartition("}")[2] == name:
            return str(value)
    return ""


def metadata_field(metadata: etree._Element | None, name: str) -> str:
    """A field of the document's metadata by its name; "" where there is none."""
    found = None if metadata is None else metadata.find(f".//{{*}}{name}")
    return "" if found is None else text_content(found)
