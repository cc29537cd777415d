import { html } from './html.js';

/** The page's one stylesheet: light and dark, wide and narrow, screen and paper. */
export const style = html`
:root { color-scheme: light dark; --page: #fbfbfa; --card: #fff; --ink: #1d1f23; --soft: #5c626b; --line: #dfe1e5;
  --bar: #2f6fb3; --track: #e9ebee; --whisker: #14263b; --good: #1a7a3c; --bad: #b3261e; --note: #fff6dc; }
@media (prefers-color-scheme: dark) { :root { --page: #15171a; --card: #1d2024; --ink: #e8eaed; --soft: #a2a9b3; --line: #34383f;
  --bar: #6ba6e8; --track: #2c3036; --whisker: #f2f6fb; --good: #6fcf8d; --bad: #ff8a80; --note: #3a3218; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
header, main, footer { max-width: 70rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 2rem; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .25rem; }
p { margin: .25rem 0 .75rem; max-width: 48rem; }
.soft, footer { color: var(--soft); }
.place { color: var(--soft); margin-top: .25rem; }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1rem; list-style: none; margin: .75rem 0 0; padding: 0; }
a { color: var(--bar); }
:focus-visible { outline: 2px solid var(--bar); outline-offset: 2px; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(12rem, 1fr)); gap: .75rem; margin: 1.25rem 0 0; padding: 0; }
.cards div { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .75rem 1rem; }
.cards dt { color: var(--soft); }
.cards dd { margin: 0; font-size: 1.5rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.cards dd + dd { font-size: .875rem; font-weight: 400; color: var(--soft); }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: .5rem; background: var(--card); margin: .5rem 0 1rem; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; padding: .6rem .75rem .2rem; font-weight: 600; }
th, td { text-align: left; vertical-align: top; padding: .4rem .75rem; border-top: 1px solid var(--line); }
thead th { color: var(--soft); font-weight: 500; border-top: 0; white-space: nowrap; }
tbody th { font-weight: 500; }
.plain { min-width: 6rem; } th.plain:first-child { min-width: 9rem; }
.number { width: 1%; text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.given { overflow-wrap: anywhere; white-space: pre-wrap; }
.wide { min-width: 16rem; }
.bar { width: 14rem; min-width: 8rem; }
.bar svg { display: block; width: 100%; height: 1.1rem; margin-top: .15rem; }
.bar .track { fill: var(--track); } .bar .value { fill: var(--bar); }
.bar .whisker { stroke: var(--whisker); stroke-width: 2; vector-effect: non-scaling-stroke; }
.good { color: var(--good); } .bad { color: var(--bad); }
.note { background: var(--note); border: 1px solid var(--line); border-radius: .5rem; padding: .5rem .75rem; }
.options { margin: .25rem 0 0; padding: 0; list-style: none; color: var(--soft); }
.row { border: 1px solid var(--line); border-radius: .5rem; background: var(--card); margin: .5rem 0 .75rem; padding: .75rem;
  display: grid; grid-template-columns: 1fr auto; gap: .25rem 1.5rem; break-inside: avoid; }
.asked > .given { font-weight: 600; } .row .options { display: flex; flex-wrap: wrap; gap: 0 1rem; }
.row p { margin: .25rem 0 0; } .row > p, .strip { grid-column: 1 / -1; }
.verdict { display: flex; gap: 1.5rem; margin: 0; max-width: 24rem; } .verdict dt { color: var(--soft); font-size: .875rem; } .verdict dd { margin: 0; font-weight: 600; }
.strip { display: grid; grid-template-columns: repeat(auto-fill, minmax(7rem, 1fr)); gap: .5rem; margin-top: .5rem; }
figure { margin: 0; } figure img { display: block; width: 100%; height: auto; border-radius: .25rem; background: var(--track); }
figcaption { color: var(--soft); font-size: .8rem; text-align: center; font-variant-numeric: tabular-nums; }
@media (max-width: 40rem) { .row { grid-template-columns: 1fr; } }
details > summary { cursor: pointer; padding: .25rem 0; }
footer { padding-top: 2rem; padding-bottom: 3rem; }
@media print { :root { color-scheme: light; --page: #fff; --card: #fff; --ink: #000; --soft: #444; --line: #bbb; --bar: #2f6fb3;
  --track: #eee; --whisker: #000; --good: #1a7a3c; --bad: #b3261e; --note: #fff; }
  body { font-size: 10pt; } nav { display: none; } .scroll { overflow: visible; border: 0; } tr, .cards div { break-inside: avoid; }
  h2, h3, caption { break-after: avoid; } thead { display: table-header-group; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
`;
