import { plural } from '../../format.js';
import { duration, number, percent, points } from './format.js';
import { type Html, html } from './html.js';
import { interval } from './parts.js';
import type { PicturesOfRows } from './pictures.js';
import { sectionsOf } from './sections.js';
import { style } from './style.js';
import type { Report } from './types.js';

/**
 * The report as one page that needs nothing else: no script, and by its own policy nothing from elsewhere. All that comes from rows is
 * escaped by `html`.
 *
 * @param made when, for the foot of the page
 * @param pictures of the worst rows
 */
export function renderPage(report: Report, made: Date, pictures?: PicturesOfRows): string {
  const sections = sectionsOf(report, pictures);
  const links = sections.map(({ id, title }) => html`<li><a href="#${id}">${title}</a></li>`);
  const parts = sections.map(
    ({ id, title, body }) =>
      html`<section aria-labelledby="${id}"><h2 id="${id}">${title}</h2>\n${body}\n</section>\n`,
  );
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="visionzip report">
<title>Answers: ${report.file}</title>
<style>${style}</style>
</head>
<body>
<header>
<h1>Answers in <span class="given">${report.file}</span></h1>
${describeRun(report)}
${cards(report)}
<nav aria-label="On this page"><ul>${links}</ul></nav>
</header>
<main>
${parts}</main>
<footer><p>Made by <code>visionzip report</code> on ${made.toISOString().slice(0, 16).replace('T', ' ')} UTC. Open answers are compared by VQA’s rule, choices
by their option; no language model judges them.</p></footer>
</body>
</html>
`.text;
}

function describeRun({ models, settings, rows }: Report): Html {
  const total = rows.completed + rows.failed + rows.cancelled;
  const by = models.length === 0 ? null : html` by <span class="given">${models.join(', ')}</span>`;
  const notes = [
    settings > 1 ? `The rows were made with ${settings} different settings.` : null,
    models.length > 1 ? `The rows are of ${models.length} different models.` : null,
    rows.unreadable > 0
      ? `${plural(rows.unreadable, 'line')} could not be read and ${rows.unreadable === 1 ? 'is' : 'are'} left out.`
      : null,
  ].filter((note) => note !== null);
  return html`<p class="soft">${plural(total, 'row')}${by}</p>${notes.map((note) => html`<p class="note">${note}</p>`)}`;
}

function cards({ accuracy, rows, tokens, times, comparison }: Report): Html {
  const median = times.stages.find(({ name }) => name === 'totalMs');
  const { better = 0, worse = 0, bothRight = 0, bothWrong = 0 } = comparison ?? {};
  const difference = (better - worse) / (better + worse + bothRight + bothWrong);
  const failed = rows.failed + rows.cancelled;
  const card = (title: string, value: string, detail: string) =>
    html`<div><dt>${title}</dt><dd>${value}</dd><dd>${detail}</dd></div>`;
  return html`<dl class="cards">
${card('Accuracy', percent(accuracy.value), `${interval(accuracy)}, ${plural(accuracy.count, 'answer')}`)}
${comparison ? card('Against the run before', `${points(difference)} points`, `${number(better)} better, ${number(worse)} worse`) : null}
${card('Answered', number(rows.completed), failed === 0 ? 'none failed' : `${number(failed)} failed or cancelled`)}
${card('Visual tokens a row', `${number(tokens.before)} → ${number(tokens.after)}`, `${percent(tokens.after / tokens.before)} kept`)}
${card('A job, in the median', duration(median?.p50 ?? Number.NaN), `p99 ${duration(median?.p99 ?? Number.NaN)}`)}
</dl>`;
}
