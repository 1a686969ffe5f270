"""How the HTML page looks: system fonts, light and dark, wide tables scroll inside their own box."""

STYLESHEET = """\
:root { color-scheme: light dark; --paper: #fdfdfb; --ink: #1c1c22; --faint: #5d5d68; --line: #d9d9de;
  --box: #f1f1ee; --link: #00558a; --warning: #fff1d6; --warning-line: #b36b00; --gap: #e8f0f7;
  --gap-line: #2f6f9f; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #16171a; --ink: #e6e6e8; --faint: #a2a3ad; --line: #393b42; --box: #212329;
    --link: #7cc0f0; --warning: #3a2c10; --warning-line: #e0a030; --gap: #162835; --gap-line: #5fa3d0; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); line-height: 1.5;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 77rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1, h2, h3 { line-height: 1.25; text-wrap: balance; overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; margin: 0 0 1rem; }
h2 { font-size: 1.35rem; margin: 3rem 0 .8rem; padding-top: .8rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.1rem; margin: 2rem 0 .6rem; }
p, ul { margin: .6rem 0; max-width: 46rem; overflow-wrap: anywhere; }
a { color: var(--link); }
code { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; font-size: .86em; }
nav ul { list-style: none; padding: 0; max-width: none; columns: 17rem; column-gap: 2rem; font-size: .92rem; }
nav li { break-inside: avoid; }
nav li.level-3 { padding-left: 1.1rem; }
figure { margin: 1.4rem 0; }
figure img { display: block; max-width: 100%; height: auto; background: #fff; border-radius: 4px; }
figcaption { color: var(--faint); font-size: .88rem; max-width: 46rem; margin: .4rem 0; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 4px; }
.scroll:focus-visible { outline: 2px solid var(--link); outline-offset: 1px; }
table { border-collapse: collapse; font-size: .87rem; font-variant-numeric: tabular-nums; min-width: 100%; }
th, td { padding: .32rem .7rem; text-align: left; vertical-align: top; white-space: nowrap; }
th { border-bottom: 1px solid var(--line); color: var(--faint); font-weight: 600; vertical-align: bottom; }
tbody tr + tr td { border-top: 1px solid var(--line); }
td.long { white-space: normal; min-width: 17rem; max-width: 28rem; overflow-wrap: anywhere; }
tr.reference td { background: var(--box); }
th.number { white-space: normal; }
.number { text-align: right; }
.absent { color: var(--faint); font-style: italic; }
.warning, .gap { border-left: 4px solid var(--warning-line); background: var(--warning); padding: .6rem .9rem;
  border-radius: 0 4px 4px 0; max-width: 46rem; margin: .8rem 0; }
.gap { border-color: var(--gap-line); background: var(--gap); }
.gap p { margin: 0; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: .5rem 0 0; padding: .5rem .7rem;
  background: var(--box); border-radius: 4px; line-height: 1.35; }
pre span { display: inline-block; max-width: 100%; }
@media (max-width: 40rem) {
  th, td { padding: .28rem .45rem; }
  td.long { min-width: 8.5rem; }
}
@media print { nav { display: none; } .scroll { overflow: visible; } h2 { break-after: avoid; } }
"""
