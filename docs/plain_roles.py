"""For mkdocs: our docstrings name things as Sphinx does, :class:`Name`; on the pages the name alone is shown."""

import re

_ROLE = re.compile(r':(?:class|func|meth|mod|attr):(?=<code|<a |<autoref)')


def on_page_content(html: str, **kwargs) -> str:
    return _ROLE.sub('', html)
