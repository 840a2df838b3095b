"""The page's style sheet: light, dark and print, at any width, with the reader's own fonts.

Colours are those of Okabe and Ito, "Color Universal Design" (2008), lightened on dark ground.
"""

from typing import Final

_LIGHT = """
color-scheme: light; --paper: #ffffff; --ink: #1d1d1f; --muted: #5b5b60; --grid: #e2e2e6;
--panel: #f5f5f7; --link: #005a91; --c0: #8c8c92; --c1: #0072b2; --c2: #c44e00; --c3: #00805f;
--c4: #a3438a; --c5: #8a6500; --c6: #4a4a4a;
"""
_DARK = """
color-scheme: dark; --paper: #151518; --ink: #ececf0; --muted: #a6a6ae; --grid: #35353b;
--panel: #202025; --link: #7cc4f5; --c0: #85858d; --c1: #56b4e9; --c2: #ff9047; --c3: #2fc69b;
--c4: #e08ac4; --c5: #e6b93f; --c6: #c9c9cf;
"""

STYLE: Final = f"""
:root {{{_LIGHT}}}
@media (prefers-color-scheme: dark) {{ :root {{{_DARK}}} }}
@media print {{ :root {{{_LIGHT}}} }}
* {{ box-sizing: border-box; }}
html {{ -webkit-text-size-adjust: 100%; }}
body {{
  margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 68rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, "Segoe UI", Roboto, "Liberation Sans", sans-serif;
  overflow-wrap: break-word;
}}
h1 {{ font-size: 1.7rem; line-height: 1.2; margin: 0 0 .2rem; }}
h2 {{ font-size: 1.3rem; margin: 2.5rem 0 .5rem; padding-top: .6rem;
  border-top: 1px solid var(--grid); }}
h3 {{ font-size: 1.05rem; line-height: 1.35; margin: 0 0 .5rem; }}
h4 {{ font-size: 1rem; margin: 1.2rem 0 .3rem; }}
p {{ margin: .5rem 0; }}
a {{ color: var(--link); overflow-wrap: anywhere; }}
code {{ font: .85em ui-monospace, "Liberation Mono", monospace; color: var(--muted);
  overflow-wrap: anywhere; }}
.muted, figcaption, .note, .axis, .absent p {{ color: var(--muted); font-size: .875rem; }}
nav {{ font-size: .9rem; }}
nav a {{ margin-right: .9rem; white-space: nowrap; }}
.verdict {{ font-size: 1.15rem; line-height: 1.4; padding: .7rem .9rem; background: var(--panel);
  border-left: .3rem solid var(--c0); }}
.verdict.wins {{ border-color: var(--c3); }}
.verdict.loses {{ border-color: var(--c2); }}
.figures {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr));
  gap: .8rem; margin: 1rem 0; }}
.figures > div {{ background: var(--panel); padding: .7rem .9rem; }}
.figures dt {{ font-size: .9rem; color: var(--muted); }}
.figures dd {{ margin: 0; }}
.figures .value {{ font-size: 1.7rem; line-height: 1.3; font-weight: 600; }}
.grid-of-two {{ margin: 2rem 0; display: grid; gap: 1.6rem 2rem;
  grid-template-columns: minmax(0, 1fr); }}
.grid-of-two > * {{ min-width: 0; margin: 0; }}
@media (min-width: 60rem) {{
  .grid-of-two {{ grid-template-columns: repeat(2, minmax(0, 1fr)); align-items: start; }}
}}
figure {{ margin: 1.6rem 0; break-inside: avoid; }}
figcaption {{ margin-top: .4rem; max-width: 46rem; }}
.axis {{ margin: 0 0 .5rem; }}
.axis.x {{ text-align: right; margin: 1.5rem 0 0; }}
.legend {{ list-style: none; display: flex; flex-wrap: wrap; gap: .1rem 1.1rem; padding: 0;
  margin: .4rem 0; font-size: .875rem; }}
.legend svg {{ overflow: visible; vertical-align: -.15em; }}
.drawing {{ display: block; overflow: visible; margin-left: 3.4rem; width: calc(100% - 4.4rem); }}
.drawing.wide {{ margin-left: 0; width: calc(100% - .6rem); }}
.stretched {{ overflow: visible; }}
.grid {{ stroke: var(--grid); stroke-width: 1; }}
text {{ fill: var(--ink); font-size: 12px; }}
.tick, .label {{ paint-order: stroke; stroke: var(--paper); stroke-width: 3px; }}
.tick {{ fill: var(--muted); font-size: 11.5px; font-variant-numeric: tabular-nums; }}
.label {{ font-size: 12.5px; }}
.strong {{ font-weight: 700; }}
.line {{ fill: none; stroke-width: 2; stroke-linejoin: round; }}
.dashed {{ stroke-dasharray: 6 5; }}
.dotted {{ stroke-dasharray: 1.5 5.5; stroke-dashoffset: -7.5; }}
.span {{ stroke-width: 5; stroke-linecap: round; stroke-opacity: .45; }}
.hollow {{ fill: var(--paper); stroke-width: 1.8; }}
.pale {{ fill: var(--c1); fill-opacity: .3; }}
.field {{ fill: var(--panel); }}
.spikes {{ fill: none; stroke-width: 2.2; stroke-linecap: round; }}
.spikes.few {{ stroke-width: 4.5; }}
{"".join(f".f{n} {{ fill: var(--c{n}); }} .s{n} {{ stroke: var(--c{n}); }} " for n in range(7))}
.scroll {{ overflow-x: auto; margin: 1rem 0; }}
.scroll:focus-visible, a:focus-visible {{ outline: 2px solid var(--link); outline-offset: 2px; }}
table {{ border-collapse: collapse; font-size: .85rem; line-height: 1.35; min-width: 100%; }}
caption {{ text-align: left; font-weight: 600; padding-bottom: .4rem; }}
th, td {{ text-align: left; vertical-align: top; padding: .3rem .9rem .3rem 0;
  border-bottom: 1px solid var(--grid); font-weight: 400; min-width: 4rem; }}
tbody th {{ min-width: 8rem; }}
thead th {{ color: var(--muted); vertical-align: bottom; }}
td.n, th.n {{ font-variant-numeric: tabular-nums; white-space: nowrap; }}
td.long {{ min-width: 16rem; }}
table code {{ overflow-wrap: normal; }}
.terms {{ display: grid; grid-template-columns: minmax(7rem, auto) minmax(0, 1fr);
  gap: .25rem 1rem; font-size: .9rem; }}
.terms dt {{ color: var(--muted); overflow-wrap: anywhere; }}
.terms dd {{ margin: 0; overflow-wrap: anywhere; }}
@media print {{
  body {{ max-width: none; padding: 0; font-size: 10pt; }}
  nav {{ display: none; }}
  .scroll {{ overflow: visible; }}
  table {{ font-size: 7pt; }}
  th, td {{ min-width: 0; padding-right: .4rem; }}
  td.long {{ min-width: 0; }}
  td.n, th.n {{ white-space: normal; }}
  * {{ print-color-adjust: exact; -webkit-print-color-adjust: exact; }}
}}
"""
