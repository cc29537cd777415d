import type { ComponentChildren } from 'preact';
import type { Overview } from '../../../api/schemas.js';
import { formatBytes, formatCount, formatDuration, formatShare, formatTimes } from '../../format.js';
import { Meter } from '../meter.js';

/** The figures that say whether the night will do. */
export function Facts({ overview }: { readonly overview: Overview }) {
  const { tokens, reuse, redis, secondsOfWork, jobsPerMinute, counts } = overview;
  return (
    <section class="card">
      <h2>At a glance</h2>
      <dl class="facts">
        <Fact name="Rate" value={`${rateText(jobsPerMinute)} a minute`} />
        <Fact name="Work waiting" value={workText(secondsOfWork, counts.waiting + counts.delayed)}>
          {secondsOfWork !== null && counts.waiting > 0 && 'at the rate of the workers that are connected'}
        </Fact>
        <Fact
          name="Visual tokens"
          value={tokens.before > 0 ? `${formatShare(1 - tokens.after / tokens.before)} saved` : 'none yet'}
        >
          {tokens.after > 0 && (
            <>
              {formatCount(tokens.before)} → {formatCount(tokens.after)},{' '}
              {formatTimes(tokens.before / tokens.after)} fewer
              <Meter share={tokens.after / tokens.before} label="Visual tokens that are left" />
            </>
          )}
        </Fact>
        <Fact
          name="Reuse"
          value={
            reuse.jobs > 0
              ? formatShare((reuse.cached + reuse.tokens + reuse.prefix) / reuse.jobs)
              : 'no jobs yet'
          }
        >
          {reuse.jobs > 0 &&
            `${formatCount(reuse.cached)} stored answers, ${formatCount(reuse.tokens)} encoded before, ${formatCount(reuse.prefix)} held ready, of ${formatCount(reuse.jobs)}`}
        </Fact>
        <Memory redis={redis} />
      </dl>
    </section>
  );
}

function Memory({ redis }: { readonly redis: Overview['redis'] }) {
  const { usedMemoryBytes: used, maxMemoryBytes: max, maxMemoryPolicy, version } = redis;
  const share = max > 0 ? used / max : null;
  const limit = share === null ? 'no limit' : `of ${formatBytes(max)}, ${formatShare(share)}`;
  return (
    <Fact name="Redis memory" value={formatBytes(used)}>
      {[limit, maxMemoryPolicy, `version ${version}`].join(' · ')}
      {share !== null && (
        <Meter
          share={share}
          label="Redis memory"
          tone={share > 0.9 ? 'bad' : share > 0.75 ? 'warn' : 'busy'}
        />
      )}
    </Fact>
  );
}

function Fact({ name, value, children }: { name: string; value: string; children?: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        <strong>{value}</strong>
        {children && <div class="soft">{children}</div>}
      </dd>
    </div>
  );
}

function rateText(jobsPerMinute: number): string {
  const rate = jobsPerMinute >= 9.95 ? formatCount(jobsPerMinute) : jobsPerMinute.toFixed(1);
  return rate === '1.0' ? '1 job' : `${rate.replace(/\.0$/, '')} jobs`;
}

function workText(seconds: number | null, waiting: number): string {
  if (waiting === 0) return 'none';
  return seconds === null
    ? 'no worker is connected, or none has ended a job'
    : formatDuration(seconds * 1000);
}
