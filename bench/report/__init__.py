"""A record as a page that needs nothing else: HTML and SVG by small functions, a template and a style sheet as data."""
