import { html } from '../../batch/report/html.js';

/** The job page's one stylesheet: light and dark, screen and paper. */
export const pageStyle = html`
:root { color-scheme: light dark; --page: #fbfbfa; --ink: #1d1f23; --soft: #5c626b; --line: #dfe1e5; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --page: #15171a; --ink: #e8eaed; --soft: #a2a9b3; --line: #34383f; --bad: #ff8a80; } }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main, footer { max-width: 64rem; margin: 0 auto; padding: 1rem 1.25rem; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: 1rem 0 .25rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; } h3 { font-size: 1rem; margin: 1rem 0 .25rem; }
.soft, footer { color: var(--soft); } .error { color: var(--bad); } .answer { font-size: 1.1rem; white-space: pre-wrap; margin: .25rem 0; }
.chosen { font-weight: 600; } pre { overflow-x: auto; border: 1px solid var(--line); padding: .75rem; }
.stages { width: 100%; height: 1.25rem; } .keys { display: flex; flex-wrap: wrap; gap: .25rem 1rem; list-style: none; padding: 0; }
.key { display: inline-block; width: .75em; height: .75em; margin-right: .35em; }
.stage0 { fill: #2f6fb3; background: #2f6fb3; } .stage1 { fill: #b9772b; background: #b9772b; } .stage2 { fill: #3a8f5c; background: #3a8f5c; }
.stage3 { fill: #a34b8e; background: #a34b8e; } .stage4 { fill: #c9514b; background: #c9514b; } .stage5 { fill: #6b6fc4; background: #6b6fc4; }
.stage6 { fill: #8a8a3a; background: #8a8a3a; } .stage7 { fill: #4aa3a3; background: #4aa3a3; } .stage8 { fill: #7a7f87; background: #7a7f87; }
.frames { display: grid; grid-template-columns: repeat(auto-fill, minmax(14rem, 1fr)); gap: 1rem; } figure { margin: 0; break-inside: avoid; }
figure svg { width: 100%; height: auto; border: 1px solid var(--line); } figcaption { color: var(--soft); font-size: .85rem; } .none { fill: var(--line); }
path.dominant { fill: #37d67a66; stroke: #0f7a3c; } path.contextual { fill: #4d9fff66; stroke: #14509c; } path.static { fill: #ffd54d66; stroke: #8a6a00; }
.key.dominant { background: #37d67a; } .key.contextual { background: #4d9fff; } .key.static { background: #ffd54d; }
`;
