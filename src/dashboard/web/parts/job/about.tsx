import type { ComponentChildren } from 'preact';
import type { JobDetail } from '../../../api/schemas.js';
import { formatBytes, formatCount, formatDuration } from '../../format.js';
import { compressionText, settingsText } from '../../words.js';

/** The plan in words, and what the job was given. */
export function About({ detail }: { readonly detail: JobDetail }) {
  const { document, logs } = detail;
  const result = document?.status === 'completed' ? document : null;
  return (
    <section class="card about">
      <h2>{result ? 'How it was done' : 'What was asked for'}</h2>
      {result && <p class="plan">{result.plan.reason}</p>}
      <dl class="facts grid">
        {result && <OfResult result={result} />}
        <OfJob detail={detail} />
      </dl>
      {result?.video.warnings.map(({ kind, message }) => (
        <p key={kind} class="notice tone-warn">
          {message}
        </p>
      ))}
      {logs.length > 0 && (
        <details>
          <summary>Log ({formatCount(logs.length)} lines)</summary>
          {/* biome-ignore lint/a11y/noNoninteractiveTabindex: long lines are scrolled with the keyboard, too */}
          <pre tabIndex={0}>{logs.join('\n')}</pre>
        </details>
      )}
    </section>
  );
}

type Result = Extract<NonNullable<JobDetail['document']>, { status: 'completed' }>;

function OfResult({ result: { plan, model, video, timings, settings } }: { readonly result: Result }) {
  const { budget } = plan;
  const speed = speedText(timings);
  return (
    <>
      <Fact name="Frames">
        {formatCount(plan.frames)}
        {plan.events > 0 && `, ${formatCount(plan.events)} of them where something changes`}
      </Fact>
      <Fact name="Tokens a frame">
        {budget
          ? `${budget.dominant} dominant + ${budget.contextual} contextual, of ${plan.tokensPerFrameBefore}`
          : `all ${plan.tokensPerFrame}`}
      </Fact>
      <Fact name="Context">
        {formatCount(plan.promptTokens)} of {formatCount(plan.contextLength)} tokens,{' '}
        {formatCount(plan.maxNewTokens)} for the answer
      </Fact>
      <Fact name="Model">
        {model.name}, {model.dtype} <code title={model.digest}>{model.digest.slice(0, 12)}</code>
      </Fact>
      <Fact name="Video">
        {video.width} × {video.height}, {video.codec}, {formatDuration(video.durationSeconds * 1000)} at{' '}
        {video.fps.toFixed(2).replace(/\.?0+$/, '')} fps, {formatBytes(video.sizeBytes)}
      </Fact>
      <Fact name="Path">
        <code>{video.path}</code>
      </Fact>
      {speed && <Fact name="Speed">{speed}</Fact>}
      <Fact name="Sampling">{settingsText(settings.sampling)}</Fact>
      <Fact name="Compression">{compressionText(settings.compression)}</Fact>
      <Fact name="Generation">{settingsText(settings.generation)}</Fact>
    </>
  );
}

/** Empty where neither a frame was encoded nor a token followed another one, as where an answer is a letter. */
function speedText({ tokensPerSecond, framesPerSecond }: Result['timings']): string {
  const speeds = [
    tokensPerSecond > 0 && `${tokensPerSecond.toFixed(1)} tokens/s`,
    framesPerSecond > 0 && `${framesPerSecond.toFixed(1)} frames/s`,
  ];
  return speeds.filter(Boolean).join(', ');
}

/** What the document does not say, or what there is where there is no document. */
function OfJob({ detail: { row, job, document } }: { readonly detail: JobDetail }) {
  const isBare = document?.status !== 'completed';
  const tags = Object.entries(row.tags);
  return (
    <>
      {isBare && <Fact name="Model">{row.model}</Fact>}
      {isBare && job && (
        <Fact name="Path">
          <code>{job.video}</code>
        </Fact>
      )}
      {isBare && job && <Fact name="Sampling">{settingsText(job.sampling)}</Fact>}
      {isBare && job && <Fact name="Compression">{compressionText(job.compression)}</Fact>}
      {isBare && job && <Fact name="Generation">{settingsText(job.generation)}</Fact>}
      {job?.overTime && <Fact name="Over time">{settingsText(job.overTime)}</Fact>}
      {job?.history && <Fact name="Earlier turns">{formatCount(job.history.length)}</Fact>}
      {row.priority > 0 && <Fact name="Priority">{row.priority}</Fact>}
      {job?.deadlineMs && <Fact name="Deadline">{formatDuration(job.deadlineMs)} an attempt</Fact>}
      {row.worker && (
        <Fact name="Worker">
          <a href={`jobs?${new URLSearchParams({ worker: row.worker })}`}>{row.worker}</a>
        </Fact>
      )}
      {row.dataset && (
        <Fact name="Dataset">
          <a href={`jobs?${new URLSearchParams({ dataset: row.dataset })}`}>{row.dataset}</a>
        </Fact>
      )}
      {tags.length > 0 && (
        <Fact name="Tags">{tags.map(([name, value]) => `${name}: ${value}`).join(', ')}</Fact>
      )}
    </>
  );
}

function Fact({ name, children }: { readonly name: string; readonly children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
