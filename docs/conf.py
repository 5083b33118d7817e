"""How the documentation is built: offline, strictly, and with nothing in its pages that is fetched from elsewhere."""

import sys
from pathlib import Path

import forescale

sys.path.insert(0, str(Path(__file__).parent))  # what is beside this file

project = "forescale"
author = "the forescale authors"
copyright = "the forescale authors, MIT licence"
version = release = forescale.__version__

extensions = ["sphinx.ext.autodoc", "numpydoc", "myst_nb", "sphinx_copybutton", "generate", "mathml"]
exclude_patterns = ["_build"]
suppress_warnings = ["config.cache"]  # myst-nb holds functions among its settings

# References. What docstrings name in `backticks` is a link where it has a page; what is not public has none.
nitpicky = True
default_role = "py:obj"
nitpick_ignore_regex = [(r"py:.*", r"(?!forescale\.(plots\.)?[a-zA-Z_]+$).*")]
_modules = {path.stem for path in Path(forescale.__file__).parent.iterdir()}
nitpick_ignore = [("py:obj", f"forescale.{name}") for name in _modules]
toc_object_entries = False

# Docstrings are numpydoc; types are said there, with shapes and units.
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = True
numpydoc_show_class_members = False

# Notebooks: as the tests have run them, or run here. Figures and tables stay in the page.
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "force"  # of those that the tests have not run; generate.py turns it off for the others
nb_execution_timeout = 600
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_merge_streams = True
nb_ipywidgets_js = {}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "pydata_sphinx_theme"
html_title = "forescale"
html_static_path = ["_static"]
html_css_files = ["forescale.css"]
html_math_renderer = "mathml"
html_copy_source = False
html_show_sourcelink = False
html_last_updated_fmt = None
html_sidebars = {page: [] for page in ("index", "start", "statistics", "generated/cli", "generated/laws")}
html_theme_options = {
    "navigation_depth": 3,
    "show_nav_level": 1,
    "show_toc_level": 2,
    "header_links_before_dropdown": 7,
    "secondary_sidebar_items": {"**": ["page-toc"], "index": []},
    "navbar_align": "left",
    "navbar_persistent": ["search-button"],
    "navbar_end": ["theme-switcher"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
