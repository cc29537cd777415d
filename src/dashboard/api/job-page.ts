import type { Result } from '../../../queues/schemas.js';
import type { Sight } from '../../../queues/sight.js';
import { type Html, html } from '../../batch/report/html.js';
import { formatMs } from '../../format.js';
import { stageNames } from '../../pipeline/timings.js';
import type { FoundJob } from './detail.js';
import { drawFrame } from './frame-picture.js';
import { pageStyle } from './page-style.js';

/**
 * A job as one page that needs nothing else, to be sent around: no script, and by its own policy nothing from elsewhere. All that
 * comes from jobs is escaped by `html`.
 *
 * @param made when, for the foot of the page
 */
export function renderJobPage({ row, job, document }: FoundJob, sight: Sight | null, made: Date): string {
  const done = document?.status === 'completed' ? document : null;
  const asked = job?.questions.map((one) => (typeof one === 'string' ? one : one.question)) ?? [row.question];
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${row.video}: ${row.question}</title>
<style>${pageStyle}</style>
</head>
<body>
<main>
<h1 dir="auto">${row.video}</h1>
<p class="soft">Job <code>${row.id}</code>, ${row.state}, asked ${timeOf(row.createdAt)}${row.worker && html`, by the worker ${row.worker}`}</p>
${row.error && html`<p class="error" dir="auto">${row.error}</p>`}
<h2>Answers</h2>
${done ? done.answers.map(answerOf) : asked.map((question) => html`<h3 dir="auto">${question}</h3><p class="soft">no answer</p>`)}
${done && [stagesOf(done), planOf(done)]}
${sight && framesOf(sight)}
<h2>Settings</h2>
<pre dir="auto">${JSON.stringify(job ? { ...job, questions: undefined } : (done?.settings ?? {}), null, 2)}</pre>
</main>
<footer>Made by the VisionZip dashboard on ${timeOf(made.getTime())}.</footer>
</body>
</html>
`.text;
}

function timeOf(at: number): string {
  return `${new Date(at).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}

function answerOf({
  question,
  options,
  answer,
  choice,
  finishReason,
  cached,
}: Result['answers'][number]): Html {
  const items = options?.map((text, i) => {
    const likelihood = choice?.likelihoods[i];
    const chosen = choice?.index === i ? 'chosen' : '';
    return html`<li class="${chosen}" dir="auto">${text}${likelihood === undefined ? null : html` <span class="soft">${(100 * likelihood).toFixed(1)} %</span>`}</li>`;
  });
  const notes = [
    cached ? 'stored before' : null,
    finishReason === 'length' ? 'cut at its limit of tokens' : null,
  ];
  return html`<h3 dir="auto">${question}</h3>${items && html`<ol type="A">${items}</ol>`}
<p class="answer" dir="auto">${answer}</p><p class="soft">${notes.filter((note) => note !== null).join(', ')}</p>`;
}

/** The stages as bars behind each other, as long as they took. */
function stagesOf({ timings }: Result): Html {
  const stages = stageNames.map((name) => ({ name, ms: timings[name] })).filter(({ ms }) => ms > 0);
  const total = Math.max(
    1e-9,
    stages.reduce((sum, { ms }) => sum + ms, 0),
  );
  let x = 0;
  const bars = stages.map(({ name, ms }, i) => {
    const [start, width] = [x, (100 * ms) / total];
    x += width;
    return html`<rect class="stage${i % 9}" x="${start.toFixed(2)}" width="${width.toFixed(2)}" height="6"><title>${name} ${formatMs(ms)}</title></rect>`;
  });
  const items = stages.map(
    ({ name, ms }, i) =>
      html`<li><span class="key stage${i % 9}"></span>${name.slice(0, -2)} ${formatMs(ms)}</li>`,
  );
  return html`<h2>Time</h2>
<p>${formatMs(timings.totalMs)} in all, ${formatMs(timings.firstTokenMs)} to the first token, ${formatMs(timings.queueMs)} in the queue.</p>
<svg class="stages" viewBox="0 0 100 6" preserveAspectRatio="none" role="img" aria-label="stages">${bars}</svg>
<ul class="keys">${items}</ul>`;
}

function planOf({ plan, tokens, video, model, reused }: Result): Html {
  return html`<h2>Frames and tokens</h2>
<p>${plan.frames} frames of ${video.durationSeconds.toFixed(1)} s (${video.codec}, ${video.width} × ${video.height}); ${tokens.before} → ${tokens.after} visual tokens;
 model ${model.name} (${model.dtype}); reused: ${reused}.</p>
<p class="soft" dir="auto">${plan.reason}</p>`;
}

function framesOf(sight: Sight): Html {
  return html`<h2>What the model saw</h2>
<p class="soft"><span class="key dominant"></span>dominant <span class="key contextual"></span>contextual <span class="key static"></span>static</p>
<div class="frames">${sight.frames.map((frame) => drawFrame(frame, sight))}</div>`;
}
