import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Result } from '../queues/schemas.js';
import type { Sight, SightFrame } from '../queues/sight.js';
import type { JobDetail, JobRow, JobState } from '../src/dashboard/api/schemas.js';
import { quote } from '../src/dashboard/web/commands.js';
import { countHidden, filterOf, orderOf, queryOf, statesFor } from '../src/dashboard/web/filters.js';
import {
  fileName,
  formatAgo,
  formatBytes,
  formatCount,
  formatDuration,
  formatMoment,
  formatShare,
  formatTimes,
  plural,
} from '../src/dashboard/web/format.js';
import {
  cellsPath,
  fatesOf,
  outlinePath,
  patchAt,
  placeOf,
  shownAt,
  tokenByPatch,
  tokensOf,
} from '../src/dashboard/web/geometry.js';
import { hear, nothing } from '../src/dashboard/web/heard.js';
import { idsOf, jobOf } from '../src/dashboard/web/parts/ab/columns.js';
import { timelineOf } from '../src/dashboard/web/parts/job/spans.js';
import { momentsOf, whyNoPictures } from '../src/dashboard/web/parts/sight/moments.js';
import { jobPath, pathBelow, routeOf, withQuery } from '../src/dashboard/web/routes.js';
import { type FollowedJob, type FollowedList, withRow, withTold } from '../src/dashboard/web/told.js';
import {
  compressionText,
  differences,
  settingsText,
  stageSpans,
  stages,
} from '../src/dashboard/web/words.js';
import { panned, placed, ticksOf, zoomed } from '../src/dashboard/web/zoom.js';
import { stageNames } from '../src/pipeline/timings.js';

describe('numbers and times on the pages', () => {
  it('show a duration in two units at most', () => {
    expect([0, 812, 1900, 59_940, 59_960, 185_000].map(formatDuration)).toEqual(
      ['0 ms', '812 ms', '1.9 s', '59.9 s', '1 min 00 s', '3 min 05 s'], // 59.96 s would round to "60.0 s"
    );
    expect([3_599_999, 7_620_000, 172_800_000, 273_600_000].map(formatDuration)).toEqual(
      ['1 h 00 min', '2 h 07 min', '2 d 0 h', '3 d 4 h'], // 76 hours are 3 days and 4 hours
    );
  });

  it('show moments that lie close together differently', () => {
    expect([5532, 5534].map((ms) => formatMoment(ms, 2))).toEqual(['5.532 s', '5.534 s']);
    expect([61_500, 61_750].map((ms) => formatMoment(ms, 250))).toEqual(['61.5 s', '61.8 s']);
    expect([200, 1200, 60_000].map((ms) => formatMoment(ms, 1000))).toEqual([
      '200 ms',
      '1.2 s',
      '1 min 00 s',
    ]);
  });

  it('say how long ago something was, or when it comes', () => {
    const now = 1_000_000_000;
    const ago = (seconds: number) => formatAgo(now - seconds * 1000, now);
    expect([1, 12, 90, 7_199, 90_000].map(ago)).toEqual([
      'just now',
      '12 s ago',
      '1 min ago',
      '1 h ago',
      '1 d ago',
    ]);
    expect(ago(-300)).toBe('in 5 min');
  });

  it('show counts, bytes, shares and ratios', () => {
    expect([formatCount(1_234_567), plural(1, 'job'), plural(1200, 'job')]).toEqual([
      '1,234,567',
      '1 job',
      '1,200 jobs',
    ]);
    expect([0, 512, 3_565_158, 2 ** 40 * 200].map(formatBytes)).toEqual([
      '0 B',
      '512 B',
      '3.4 MiB',
      '200 TiB',
    ]);
    expect([0, 0.796, 0.5, 1].map(formatShare)).toEqual(['0 %', '79.6 %', '50 %', '100 %']);
    expect([1, 4.94, 9.96, 18.6].map(formatTimes)).toEqual(['1.0 ×', '4.9 ×', '10 ×', '19 ×']);
    expect([fileName('/a/b.mp4'), fileName('c:\\d\\e.mp4'), fileName('f.mp4')]).toEqual([
      'b.mp4',
      'e.mp4',
      'f.mp4',
    ]);
  });

  it('quote a word for the shell, whatever it holds', () => {
    expect(quote('clips/a-1.mp4')).toBe('clips/a-1.mp4');
    expect(quote("it's $HOME; x")).toBe(`'it'\\''s $HOME; x'`);
    expect(quote('')).toBe("''");
  });
});

describe('addresses of the pages', () => {
  it('lead to pages, jobs and datasets, and to nothing else', () => {
    expect(routeOf('')).toEqual({ page: 'overview', id: null });
    expect(routeOf('jobs/')).toEqual({ page: 'jobs', id: null });
    expect(routeOf('jobs/a%2Fb%20c')).toEqual({ page: 'job', id: 'a/b c' });
    expect(routeOf('datasets/7')).toEqual({ page: 'dataset', id: '7' });
    for (const path of ['nowhere', 'health/x', 'jobs/a/b', 'jobs/%E0%A4%A', 'constructor'])
      expect(routeOf(path)).toEqual({ page: 'missing', id: null });
  });

  it('come back to the job that they were made of', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, unit: 'grapheme' }), (id) => {
        expect(routeOf(jobPath(id))).toEqual({ page: 'job', id });
      }),
    );
  });

  it('count from the base, and nothing outside of it is ours', () => {
    expect(pathBelow('/', '/jobs/1')).toBe('jobs/1');
    expect(pathBelow('/visionzip/', '/visionzip/jobs')).toBe('jobs');
    expect(pathBelow('/visionzip/', '/visionzip')).toBe('');
    expect(pathBelow('/visionzip/', '/other')).toBeNull();
    expect(withQuery('jobs', new URLSearchParams())).toBe('jobs');
    expect(withQuery('jobs', new URLSearchParams({ state: 'failed' }))).toBe('jobs?state=failed');
  });
});

describe('filters of jobs', () => {
  it('come out of an address as they went in', () => {
    const text = fc.string({ minLength: 1, maxLength: 40 }).map((word) => `x${word}x`);
    const filter = fc.record(
      {
        state: fc.constantFrom<('failed' | 'active')[]>(['failed'], ['active', 'failed']),
        text,
        errorClass: text,
        minMs: fc.integer({ min: 1, max: 1e9 }),
        to: fc.integer({ min: 1, max: 2e12 }),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(filter, (wanted) => {
        expect(filterOf(new URLSearchParams(queryOf(wanted).toString()))).toEqual(wanted);
      }),
    );
  });

  it('leave out what an address says wrongly', () => {
    const query = new URLSearchParams(
      'state=failed&state=lost&text=%20&minMs=-1&maxMs=many&from=&order=sideways',
    );
    expect(filterOf(query)).toEqual({ state: ['failed'] });
    expect(orderOf(query)).toBe('newest');
  });

  it('say how many conditions are out of sight, and in which states something can be done', () => {
    expect(countHidden({ state: ['failed'], text: 'x', model: 'nano', minMs: 5 })).toBe(2);
    expect(statesFor('cancel', undefined)).toEqual(['waiting', 'delayed', 'active']);
    expect(statesFor('retry', ['failed', 'completed'])).toEqual(['failed']);
    expect(statesFor('retry', ['active'])).toEqual([]);
  });
});

/*
 * Two rows of three patches:
 *
 *   0 D   1 a   2 a*      D dominant, a and b the contextual tokens, * their targets, s the same in several frames
 *   3 b*  4 D   5 s
 */
const frame: SightFrame = {
  index: 0,
  ptsSeconds: 0,
  picture: null,
  grid: { rows: 2, columns: 3 },
  dominant: [0, 4],
  static: [5],
  contextual: [[2, 1], [3]],
  tokensBefore: 6,
  tokensAfter: 5,
};

describe('patches of a frame', () => {
  it('have a fate each, and a token that they went into', () => {
    expect(fatesOf(frame)).toEqual(['dominant', 'merged', 'merged', 'merged', 'dominant', 'static']);
    expect(tokensOf(frame).map(({ kind, patches }) => [kind, ...patches])).toEqual([
      ['contextual', 2, 1],
      ['contextual', 3],
      ['static', 5],
      ['dominant', 0],
      ['dominant', 4],
    ]);
    expect([...tokenByPatch(frame)]).toEqual([3, 0, 0, 1, 4, 2]);
  });

  it('are left out where no token holds them, and those outside of the grid are passed over', () => {
    const strange = { ...frame, dominant: [0, 99, -1], static: undefined, contextual: [] };
    expect(fatesOf(strange)).toEqual(['dominant', ...Array(5).fill('dropped')]);
    expect(tokenByPatch(strange)).toHaveLength(6);
  });

  it('are found by a place in the picture', () => {
    expect(patchAt(frame.grid, 0, 0)).toBe(0);
    expect(patchAt(frame.grid, 0.99, 0.49)).toBe(2);
    expect(patchAt(frame.grid, 0.34, 0.5)).toBe(4);
    expect([
      patchAt(frame.grid, 1, 0.5),
      patchAt(frame.grid, -0.01, 0),
      patchAt(frame.grid, Number.NaN, 0),
    ]).toEqual([null, null, null]);
    expect(placeOf(frame.grid, 5)).toBe('row 2, column 3');
  });

  it('are drawn as runs within a row: a run never goes around the edge', () => {
    // 2 and 3 follow each other in number, not in the picture.
    expect(cellsPath(frame.grid, [3, 2, 1])).toBe('M1 0h2v1h-2zM0 1h1v1h-1z');
  });

  it('are outlined where they end, and not in between', () => {
    // Two cells side by side have six edges, not eight.
    expect(outlinePath(frame.grid, [0, 1]).match(/M/g)).toHaveLength(6);
    // 2 ends the first row, 3 begins the second: eight edges.
    expect(outlinePath(frame.grid, [2, 3]).match(/M/g)).toHaveLength(8);
  });

  it('draw as many cells as there are patches, in any grid', () => {
    const cases = fc.record({
      rows: fc.integer({ min: 1, max: 30 }),
      columns: fc.integer({ min: 1, max: 30 }),
    });
    fc.assert(
      fc.property(cases, fc.array(fc.nat(899)), (grid, numbers) => {
        const patches = new Set(numbers.filter((patch) => patch < grid.rows * grid.columns));
        const widths = [...cellsPath(grid, patches).matchAll(/h(\d+)v1/g)].map(([, width]) => Number(width));
        expect(widths.reduce((sum, width) => sum + width, 0)).toBe(patches.size);
      }),
    );
  });

  it('are those of the frame that is on display', () => {
    const times = [0, 1, 2.5];
    expect([0, 0.9, 0.99, 1, 2.4, 9].map((seconds) => shownAt(times, seconds))).toEqual([0, 0, 1, 1, 1, 2]);
    expect(shownAt([1], 0.5)).toBe(-1);
    expect(shownAt([], 0)).toBe(-1);
  });
});

describe('frames without pictures', () => {
  const document = {
    status: 'completed',
    frames: [{ index: 0, ptsSeconds: 0, tokens: 4 }],
    plan: { tokensPerFrameBefore: 9 },
  };
  const detail = { document } as unknown as JobDetail;
  const seen = (picture: string | null) => ({ frames: [{ ptsSeconds: 0, picture }] }) as unknown as Sight;

  it('are said to be so, and why', () => {
    expect(whyNoPictures(momentsOf(detail, null))).toMatch(/^Pictures of the frames are not kept/);
    expect(whyNoPictures(momentsOf(detail, seen(null)))).toContain('the video had been encoded before');
    expect(whyNoPictures(momentsOf(detail, seen('UklGRg==')))).toBeNull();
    expect(whyNoPictures([])).toBeNull();
  });
});

describe('a time line', () => {
  const whole = { from: 0, to: 1000 };

  it('is zoomed around what is pointed at, and never shows more than there is', () => {
    expect(zoomed(whole, 0.5, 500, whole)).toEqual({ from: 250, to: 750 });
    expect(zoomed({ from: 250, to: 750 }, 0.5, 250, whole)).toEqual({ from: 250, to: 500 });
    expect(zoomed({ from: 0, to: 100 }, 100, 50, whole)).toEqual(whole);
    expect(panned({ from: 800, to: 1000 }, 0.5, whole)).toEqual({ from: 800, to: 1000 });
    expect(panned({ from: 200, to: 400 }, -0.5, whole)).toEqual({ from: 100, to: 300 });
  });

  it('places what is in sight, and cuts off what is not', () => {
    expect(placed({ from: 100, to: 300 }, 0, 200)).toEqual({ left: 0, width: 50 });
    expect(placed({ from: 100, to: 300 }, 250, 900)).toEqual({ left: 75, width: 25 });
    expect(placed({ from: 100, to: 300 }, 0, 99)).toBeNull();
  });

  it('is marked in round steps', () => {
    expect(ticksOf({ from: 0, to: 1000 }, 5)).toEqual([0, 200, 400, 600, 800, 1000]);
    expect(ticksOf({ from: 130, to: 170 }, 4)).toEqual([130, 140, 150, 160, 170]);
    expect(ticksOf({ from: 5, to: 5 }, 4)).toEqual([]);
  });
});

const timings = {
  ...{ queueMs: 100, probeMs: 10, chooseMs: 0, decodeMs: 40, preprocessMs: 5, encodeMs: 60, compressMs: 2 },
  ...{ projectMs: 3, prefillMs: 30, generateMs: 20, totalMs: 200, firstTokenMs: 160, onnxMs: 0 },
  ...{ tokensPerSecond: 0, framesPerSecond: 0 },
};

function result(changes: Partial<Result> = {}): Result {
  const answer = { question: 'What moves?', answer: 'a star', finishReason: 'stop' as const, cached: false };
  const counts = { promptTokens: 9, newTokens: 2, prefillMs: 1, generateMs: 1 };
  return {
    ...{ status: 'completed', cached: false, reused: 'none', tokens: { before: 1000, after: 1000 }, timings },
    ...{ answers: [{ ...answer, ...counts }] },
    ...changes,
  } as Result;
}

describe('where the time went', () => {
  it('is told of the stages that the pipeline measures, in its order', () => {
    expect(stages).toEqual(stageNames);
  });

  it('puts stages one behind the other where a worker did not say when they were busy', () => {
    const spans = stageSpans(timings);
    expect(spans.map(({ name }) => name)).toEqual([
      'probe',
      'decode',
      'preprocess',
      'encode',
      'compress',
      'project',
      'prefill',
      'generate',
      'other',
    ]);
    expect(spans[3]).toEqual({ name: 'encode', startMs: 55, endMs: 115, ms: 60 });
    // 10 + 40 + 5 + 60 + 2 + 3 + 30 + 20 = 170 of 200 ms.
    expect(spans.at(-1)).toEqual({ name: 'other', startMs: 170, endMs: 200, ms: 30 });
  });

  it('takes the times that a worker said', () => {
    const [probe, decode] = stageSpans({ ...timings, spans: { probe: [1, 12], decode: [12, 90] } });
    expect(probe).toEqual({ name: 'probe', startMs: 1, endMs: 12, ms: 10 });
    expect(decode).toEqual({ name: 'decode', startMs: 12, endMs: 90, ms: 40 });
  });

  it('shows the wait, each attempt, and the stages at the end of the last one', () => {
    const attempt = { worker: 'w', startedAt: 0, endedAt: 0, reason: null };
    const detail = {
      row: { createdAt: 1000, startedAt: 2000, finishedAt: 2500 },
      attempts: [
        { ...attempt, attempt: 1, startedAt: 1100, endedAt: 1200, reason: 'it broke' },
        { ...attempt, attempt: 2, startedAt: 2000, endedAt: 2500 },
      ],
      document: result(),
    } as unknown as JobDetail;
    const { spans, firstTokenAt, whole, last } = timelineOf(detail, 0);
    expect(spans.slice(0, 4)).toEqual([
      { name: 'in the queue', from: 0, to: 100, kind: 'wait', note: null },
      { name: 'attempt 1', from: 100, to: 200, kind: 'failed', note: 'it broke' },
      { name: 'attempt 2', from: 1000, to: 1500, kind: 'attempt', note: 'w' },
      // The stages took 200 ms of 500: what came before is no stage.
      { name: 'starting', from: 1000, to: 1300, kind: 'stage', note: null },
    ]);
    expect(spans[4]).toMatchObject({ name: 'probe', from: 1300, to: 1310 });
    expect({ firstTokenAt, whole, last }).toEqual({
      ...{ firstTokenAt: 1460, whole: { from: 0, to: 1500 }, last: { from: 1000, to: 1500 } },
    });
  });

  it('shows a job that waits as nothing but its wait', () => {
    const row = { createdAt: 1000, startedAt: null, finishedAt: null };
    const detail = { row, attempts: [], document: null } as unknown as JobDetail;
    expect(timelineOf(detail, 1400).spans).toEqual([
      { name: 'in the queue', from: 0, to: 400, kind: 'wait', note: null },
    ]);
  });
});

describe('comparisons', () => {
  it('say in words what differs', () => {
    const quick = { ...timings, totalMs: 100 };
    expect(differences(result(), result({ tokens: { before: 1000, after: 200 }, timings: quick }))).toEqual([
      'Same answer.',
      '5.0 × fewer visual tokens.',
      '2.0 × less time in the worker.',
    ]);
    const other = result({ answers: [{ ...result().answers[0]!, answer: 'a ring' }], reused: 'tokens' });
    expect(differences(result(), other)).toEqual([
      'Another answer.',
      'About as many visual tokens.',
      'About as much time in the worker. One of them found the video encoded.',
    ]);
    const asked = (...questions: string[]) =>
      result({ answers: questions.map((question) => ({ ...result().answers[0]!, question })) });
    expect(differences(asked('what?'), asked('where?'))[0]).toBe('They were asked different questions.');
    expect(differences(asked('a?', 'b?'), asked('a?', 'c?', 'd?'))[0]).toBe(
      '1 of 1 answers are the same, of the questions that both were asked.',
    );
    expect(differences(result(), result({ cached: true }))[2]).toMatch(/times cannot be compared/);
  });

  it('ask the same in each column, but for the compression', () => {
    const base = {
      video: 'a.mp4',
      questions: ['What?'],
      model: 'nano',
      sampling: { frames: 4 },
      generation: {},
    };
    const budget = { dominant: 4, contextual: 2 };
    const { compression, ...rest } = jobOf(base, 'other', budget);
    expect(compression).toEqual(budget);
    expect(jobOf(base, 'none', budget)).toEqual({ ...rest, compression: 'none' });
    expect(jobOf(base, 'auto', budget)).toEqual({ ...rest, compression: 'auto' });
  });

  it('are found again by their address', () => {
    expect(idsOf(new URLSearchParams('none=1&auto=2&other=3'))).toEqual({ none: '1', auto: '2', other: '3' });
    expect(idsOf(new URLSearchParams('none=1&auto=2'))).toBeNull();
  });

  it('name settings', () => {
    expect(settingsText({})).toBe('default');
    expect(settingsText({ maxNewTokens: 8, stop: ['a b', '\n'], seed: undefined })).toBe(
      'max new tokens 8, stop "a b" "\\n"',
    );
    expect(compressionText({ dominant: 6, contextual: 4 })).toBe('6 dominant + 4 contextual a frame');
  });
});

describe('what events tell', () => {
  const row = (state: JobState, more: Partial<JobRow> = {}) =>
    ({ id: 'a', state, createdAt: 5, attempts: 1, ...more }) as JobRow;
  const job = (of: JobRow) => ({ row: of }) as FollowedJob;

  it('replaces what was read of a job, and has it read again where its state is another one', () => {
    const progress = row('active', { video: 'b' });
    expect(withTold(job(row('active')), progress)).toEqual({ row: progress });
    expect(withTold(job(row('active')), row('completed'))).toEqual({ row: row('completed'), isBehind: true });
    // A job that is to be tried again pauses and waits behind its attempt; one that is asked again is a new one.
    const steps = [
      ...[row('waiting', { attempts: 0 }), row('active'), row('delayed'), row('waiting')],
      ...[row('active', { attempts: 2 }), row('failed', { attempts: 2 })],
      row('waiting', { createdAt: 6, attempts: 0 }),
    ];
    for (let i = 1; i < steps.length; i++) {
      const [before, after] = [steps[i - 1]!, steps[i]!];
      expect(withTold(job(before), after)).toEqual({ row: after, isBehind: true });
      expect(withTold(job(after), before)).toEqual({ row: after, isBehind: true });
    }
    expect(withTold(job(row('active')), row('completed', { id: 'b' }))).toEqual({ row: row('active') });
  });

  it('changes rows where they stand, and counts each new job once', () => {
    const index = { jobs: 1, of: 1, isComplete: true };
    let list: FollowedList = { total: 1, rows: [row('active')], index };
    list = withRow(list, row('completed'), 4);
    expect(list).toEqual({ total: 1, rows: [row('completed')], index });
    for (const id of ['b', 'b', 'c', 'a']) list = withRow(list, row('waiting', { id }), 4);
    list = withRow(list, row('waiting', { id: 'old', createdAt: 3 }), 4);
    expect([...list.news!]).toEqual(['b', 'c']);
  });
});

describe('the text of a job under way', () => {
  it('grows, begins anew after a restart, and ends with the document', () => {
    const answer = result().answers[0]!;
    let heard = hear(nothing, { type: 'text', question: 1, text: ' a' });
    heard = hear(heard, { type: 'text', question: 1, text: ' b' });
    expect(heard.texts[1]).toBe('a b');
    expect(hear(heard, { type: 'restart' })).toEqual(nothing);
    heard = hear(heard, { type: 'answer', question: 0, answer });
    expect(heard.texts).toEqual(['a star', 'a b']);
    expect(hear(heard, { type: 'document', document: result() }).document?.status).toBe('completed');
  });
});
