"""Settings of the documentation site; `deploy/docs.sh` builds it."""

import os
import sys
import tempfile
import warnings
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS))
# Autodoc looks at every attribute of a node, deprecated ones too.
warnings.filterwarnings('ignore')
# Defaults of inputs are nodes, which need a profile: one in memory, so that no installation is touched.
os.environ['AIIDA_PATH'] = tempfile.mkdtemp(prefix='aiida-docs-')

from aiida import load_profile  # noqa: E402
from aiida.storage.sqlite_temp import SqliteTempBackend  # noqa: E402

load_profile(SqliteTempBackend.create_profile('docs', debug=False), allow_switch=True)

from aiida_prospect import __version__  # noqa: E402
from generators import on_source_read  # noqa: E402

project = 'aiida-prospect'
author = 'The aiida-prospect developers'
copyright = author
release = version = __version__

extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.viewcode']
exclude_patterns = ['generators', '_build']
source_suffix = {'.md': 'markdown'}
root_doc = 'index'
myst_enable_extensions = ['colon_fence']
myst_heading_anchors = 4
suppress_warnings = ['myst.header']
autodoc_typehints = 'none'
autodoc_member_order = 'bysource'
add_module_names = False
html_theme = 'furo'
html_title = f'aiida-prospect {release}'
html_copy_source = False


def setup(app):
    """Fill in what is generated from the code."""
    app.connect('source-read', on_source_read)
