"""What the pictures share: the beginning of an SVG file, with its styles."""

HEAD = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" \
role="img" font-family="system-ui, sans-serif" font-size="11">
<title>{title}</title>
<style>
svg {{ background: #fff; color: #1c2a4a; }}
rect {{ fill: #eef1fb; stroke: #5567a8; rx: 7px; }}
path {{ fill: none; stroke: #5567a8; stroke-width: 1.6; }}
text {{ fill: currentColor; }}
.name {{ font-weight: 700; font-size: 13px; }}
.file {{ font-family: ui-monospace, monospace; font-size: 10px; fill: #5b6478; }}
@media (prefers-color-scheme: dark) {{
svg {{ background: #14171f; color: #e6e9f2; }}
rect {{ fill: #232a40; }}
.file {{ fill: #a4adc2; }}
}}
</style>
<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" \
markerHeight="7" \
orient="auto"><path d="M0 0 8 4 0 8" style="fill:#5567a8"/></marker></defs>"""
