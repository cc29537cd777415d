import { formatTime, plural } from '../../format.js';
import { spellOption } from '../../pipeline/questions.js';
import { duration, number, percent, points, probability, stageTitle } from './format.js';
import { type Html, html } from './html.js';
import { bar, type Column, given, interval, questionCell, table } from './parts.js';
import type { PicturesOfRows, RowPictures } from './pictures.js';
import type { ChangedRow, Comparison, NamedShare, Report, RunReport, ShownRow } from './types.js';

/** A part of the page; absent where the file says nothing of it. */
export interface Section {
  readonly id: string;
  readonly title: string;
  readonly body: Html;
}

const num = (title: string): Column => ({ title, look: 'number' });
const wide = (title: string): Column => ({ title, look: 'wide' });

export function sectionsOf(report: Report, pictures?: PicturesOfRows): Section[] {
  const { comparison } = report;
  return [
    ...(comparison ? [comparisonSection(report, comparison)] : []),
    accuracySection(report),
    tokensSection(report),
    timesSection(report),
    failuresSection(report),
    worstSection(report, pictures),
  ];
}

function accuracySection({ accuracy, byKind, byCategory, rows }: RunReport): Section {
  const columnsOf = (title: string): Column[] => [
    { title },
    num('right'),
    num('of'),
    num('accuracy'),
    num('95 % interval'),
    { title: 'from 0 to 100 %', look: 'bar' },
  ];
  const lineOf = (share: NamedShare) => [
    given(share.name),
    ...[number(share.right), number(share.count), percent(share.value), interval(share), bar(share)],
  ];
  const groups = (caption: string, title: string, shares: readonly NamedShare[]) =>
    shares.length === 0 ? null : table(caption, columnsOf(title), shares.map(lineOf));
  const unscored = rows.completed - rows.scored;
  const body = html`<p>Right answers among those that can be scored, with Wilson’s interval. Rows that failed are not among them.
${unscored > 0 ? html` Of the answers, ${number(unscored)} could not be scored: their rows have no true answer, or it is none of the options.` : null}</p>
${table('All rows', columnsOf('rows'), [lineOf({ name: 'all', ...accuracy })])}
${groups('By kind of question', 'kind', byKind)}
${groups('By category', 'category', byCategory)}`;
  return { id: 'accuracy', title: 'Accuracy', body };
}

function tokensSection({ tokens }: RunReport): Section {
  const { rows, frames, before, after } = tokens;
  const body =
    rows === 0
      ? html`<p class="soft">The rows do not say how many tokens they took.</p>`
      : html`<p>Visual tokens of the video that a row asks about, as the mean of ${plural(rows, 'row')}.</p>
${table(
  'Visual tokens',
  [{ title: 'mean of rows' }, num('frames'), num('before'), num('after'), num('kept'), num('fewer')],
  [
    [
      'all',
      number(frames),
      number(before),
      number(after),
      percent(after / before),
      `${number(before / after)}×`,
    ],
  ],
)}`;
  return { id: 'tokens', title: 'Tokens before and after', body };
}

function timesSection({ times, rows }: RunReport): Section {
  const { jobs, stages } = times;
  const stored =
    rows.cached > 0
      ? html` ${plural(rows.cached, 'answer')} had been stored before and took none of it.`
      : null;
  const lines = stages.map(({ name, p50, p90, p99, share }) => [
    stageTitle(name),
    ...[p50, p90, p99].map(duration),
    ...(isStage(name) ? [percent(share), bar({ value: share })] : ['', '']),
  ]);
  const body =
    jobs === 0
      ? html`<p class="soft">No row says where its time went.${stored}</p>`
      : html`<p>Times of ${plural(jobs, 'job')}: rows that were answered together are one. Half of the jobs took at most p50, one in a hundred longer
than p99. The share is of the whole time of all jobs; what is missing to 100 % lies between the stages.${stored}</p>
${table('Time by stage', [{ title: 'stage' }, num('p50'), num('p90'), num('p99'), num('share of all'), { title: 'from 0 to 100 %', look: 'bar' }], lines)}`;
  return { id: 'times', title: 'Time by stage', body };
}

/** The others hold several stages, or lie before them. */
function isStage(name: string): boolean {
  return !['queueMs', 'firstTokenMs', 'totalMs'].includes(name);
}

function failuresSection({ failures, rows }: RunReport): Section {
  const lines = failures.map(({ fault, status, count, example }) => [
    number(count),
    fault ?? status,
    given(example.error),
    html`line ${number(example.line)}: ${given(example.question)}<div class="place">${given(example.video)}</div>`,
  ]);
  const body =
    failures.length === 0
      ? html`<p class="soft">No row failed.</p>`
      : html`<p>${plural(rows.failed + rows.cancelled, 'row')} without an answer. Messages that differ in names and numbers alone are counted together.</p>
${table('Failures', [num('rows'), { title: 'fault' }, wide('message of the first'), wide('where')], lines)}`;
  return { id: 'failures', title: 'Failures', body };
}

function worstSection({ wrong, slowest }: RunReport, pictures?: PicturesOfRows): Section {
  const slow = slowest.map(({ video, question, rows, totalMs, longest }) => [
    given(video),
    ...[
      number(rows),
      duration(totalMs),
      `${stageTitle(longest.name)}, ${duration(longest.ms)}`,
      given(question),
    ],
  ]);
  const isSure = wrong.some(({ likelihood }) => likelihood !== null);
  const body = html`${
    wrong.length === 0
      ? html`<p class="soft">No answer is wrong.</p>`
      : html`<p>${isSure ? 'Wrong answers of which the model was surest.' : 'The first wrong answers of the file; no likelihood is known.'}</p>
${pictures ? wrong.map((row) => rowWithPictures(row, pictures.get(row.line))) : rowsTable('Wrong answers', wrong)}`
  }
${slow.length === 0 ? null : table('Slowest jobs', [wide('video'), num('rows'), num('whole job'), { title: 'longest stage' }, wide('first question')], slow)}`;
  return { id: 'worst', title: 'Worst rows', body };
}

function rowWithPictures(row: ShownRow, shown: RowPictures | undefined): Html {
  const { line, video, options, answer, prediction, likelihood } = row;
  const sure =
    likelihood === null ? null : html`<div><dt>likelihood</dt><dd>${percent(likelihood)}</dd></div>`;
  return html`<article class="row" aria-label="line ${number(line)}">
<div class="asked">${questionCell(row)}<p class="place">line ${number(line)}${video === '' ? '' : ', '}${given(video)}</p></div>
<dl class="verdict"><div><dt>true</dt><dd class="good">${given(answer && spellOption(answer, options))}</dd></div><div><dt>answered</dt><dd class="bad">${given(prediction && spellOption(prediction, options))}</dd></div>${sure}</dl>
${shown && strip(shown)}
</article>
`;
}

/** The frames of a row, each with its time. */
function strip({ pictures, areShown, reason }: RowPictures): Html {
  if (reason !== undefined)
    return html`<p class="soft">No pictures: <span class="given">${reason}</span></p>`;
  const figures = pictures.map(({ ptsSeconds, src, width, height }) => {
    const time = formatTime(ptsSeconds);
    return html`<figure><img src="${src}" width="${width}" height="${height}" alt="The video at ${time}"><figcaption>${time}</figcaption></figure>`;
  });
  const note = areShown
    ? null
    : html`<p class="soft">Frames spread evenly over the video: the row does not say which the model was shown.</p>`;
  return html`<div class="strip">${figures}</div>${note}`;
}

function rowsTable(caption: string, rows: readonly ShownRow[]): Html {
  const isSure = rows.some(({ likelihood }) => likelihood !== null);
  const columns = [num('line'), wide('question'), { title: 'true' }, { title: 'answered' }];
  const lines = rows.map((row) => [
    number(row.line),
    html`${questionCell(row)}<div class="place">${given(row.video)}</div>`,
    given(row.answer),
    given(row.prediction),
    ...(isSure ? [percent(row.likelihood ?? Number.NaN)] : []),
  ]);
  return table(caption, isSure ? [...columns, num('likelihood')] : columns, lines);
}

function comparisonSection(now: Report, comparison: Comparison): Section {
  const { before, shared, onlyBefore, onlyNow, better, worse, bothRight, bothWrong, p, byKind } = comparison;
  const scored = better + worse + bothRight + bothWrong;
  const difference = (better - worse) / scored;
  const verdict =
    p < 0.05
      ? html`The difference is more than chance would explain (p ${probability(p)}).`
      : html`Chance would explain the difference (p ${probability(p)}).`;
  const kinds = byKind.map((group) => {
    const of = group.better + group.worse + group.bothRight + group.bothWrong;
    return [
      given(group.name),
      number(of),
      number(group.better),
      number(group.worse),
      points((group.better - group.worse) / of),
    ];
  });
  const body = html`<p>Compared with <span class="given">${before.file}</span>, row by row: ${plural(shared, 'row')} in both, ${plural(scored, 'row')} scored in
both. <strong class="good">${number(better)} better</strong>, <strong class="bad">${number(worse)} worse</strong>, ${points(difference)} points. ${verdict} By McNemar’s exact test on the rows of which
only one run is right, two-sided.${onlyBefore + onlyNow > 0 ? html` ${plural(onlyBefore, 'row')} only there, ${plural(onlyNow, 'row')} only here.` : null}</p>
${sideBySide(before, now)}
${kinds.length === 0 ? null : table('Changes by kind of question', [{ title: 'kind' }, num('rows'), num('better'), num('worse'), num('points')], kinds)}
${changedRows('What got better', better, comparison.betterRows)}
${changedRows('What got worse', worse, comparison.worseRows)}`;
  return { id: 'comparison', title: 'Compared with the run before', body };
}

function sideBySide(before: RunReport, now: RunReport): Html {
  const medianOf = ({ times }: RunReport) =>
    times.stages.find(({ name }) => name === 'totalMs')?.p50 ?? Number.NaN;
  const line = (name: string, of: (run: RunReport) => string) => [name, of(before), of(now)];
  return table(
    'Both runs',
    [{ title: 'what' }, num('before'), num('now')],
    [
      line(
        'accuracy of its own rows',
        ({ accuracy }) => `${percent(accuracy.value)} (${interval(accuracy)})`,
      ),
      line('answered', ({ rows }) => number(rows.completed)),
      line('failed or cancelled', ({ rows }) => number(rows.failed + rows.cancelled)),
      line('visual tokens a row', ({ tokens }) => `${number(tokens.before)} → ${number(tokens.after)}`),
      line('whole job, p50', (run) => duration(medianOf(run))),
    ],
  );
}

function changedRows(title: string, count: number, rows: readonly ChangedRow[]): Html | null {
  if (rows.length === 0) return null;
  const lines = rows.map((row) => [
    number(row.line),
    html`${questionCell(row)}<div class="place">${given(row.video)}</div>`,
    given(row.answer),
    given(row.predictionBefore),
    given(row.prediction),
  ]);
  const shown = count > rows.length ? `, the first ${rows.length}` : '';
  return html`<details><summary>${title}: ${plural(count, 'row')}${shown}</summary>
${table(title, [num('line'), wide('question'), { title: 'true' }, { title: 'before' }, { title: 'now' }], lines)}</details>`;
}
