import { readFileSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { readRow } from '../src/batch/report/answered-row.js';
import { renderPage } from '../src/batch/report/page.js';
import { type RowPictures, takePictures } from '../src/batch/report/pictures.js';
import { makeReport } from '../src/batch/report/report.js';
import { showRow } from '../src/batch/report/run-tally.js';
import { spread } from '../src/batch/report/spread.js';
import type { ShownRow } from '../src/batch/report/types.js';
import { ffmpeg, h264, plainFrames, temporaryFolder } from './media.js';
import { cli, documentOf } from './support/cli.js';

const folder = temporaryFolder();

/** Red for a second, then blue for one. */
beforeAll(async () => {
  const colours = ['red', 'blue'].flatMap((colour) => [
    ...['-f', 'lavfi', '-i', `color=c=${colour}:size=320x200:rate=10:duration=1`],
  ]);
  await mkdir(join(folder, 'deep'));
  const joined = ['-filter_complex', 'concat=n=2', ...h264()];
  await ffmpeg(...colours, ...joined, join(folder, 'film.mp4'));
  await ffmpeg(...colours, ...joined, join(folder, 'deep', 'other.mp4'));
});

function rowOf(video: string, ptsSeconds?: readonly number[], line = 1): ShownRow {
  const run = { frames: ptsSeconds?.length, ...(ptsSeconds && { ptsSeconds }) };
  return showRow(readRow(line, { video, question: 'what?', prediction: 'a', answer: 'b', run })!);
}

async function picturesOf(row: ShownRow, more = {}): Promise<RowPictures> {
  return (await takePictures([row], { folder, isSearched: false, ...more })).get(row.line)!;
}

/** Size, and which of red and blue is more in the middle, by plain ffmpeg. */
async function lookAt({ src, width, height }: RowPictures['pictures'][number]): Promise<unknown[]> {
  const [head, data] = src.split(',');
  expect(head).toBe('data:image/webp;base64');
  const file = join(folder, 'picture.webp');
  writeFileSync(file, Buffer.from(data!, 'base64'));
  const [rgb] = await plainFrames(file, 160 * 100 * 3, '0:v:0');
  const middle = (50 * 160 + 80) * 3;
  return [width, height, rgb![middle]! > 128 ? 'red' : rgb![middle + 2]! > 128 ? 'blue' : 'else'];
}

describe('the pictures of a row', () => {
  it('are not there of a row that names no video', async () => {
    expect(await picturesOf(rowOf(''))).toMatchObject({ pictures: [], reason: 'the row names no video' });
  });

  it('are the frames at the times that it says, small', async () => {
    const { pictures, areShown } = await picturesOf(rowOf('film.mp4', [0.5, 1.4]));
    expect(areShown).toBe(true);
    expect(pictures.map(({ ptsSeconds }) => ptsSeconds)).toEqual([0.5, 1.4]);
    expect(await lookAt(pictures[0]!)).toEqual([160, 100, 'red']);
    expect(await lookAt(pictures[1]!)).toEqual([160, 100, 'blue']);
  });

  it('are at most eight of them, the first and the last among them', async () => {
    const times = Array.from({ length: 20 }, (_, i) => i / 10);
    const { pictures } = await picturesOf(rowOf('film.mp4', times));
    expect(pictures.map(({ ptsSeconds }) => ptsSeconds)).toEqual([0, 0.3, 0.5, 0.8, 1.1, 1.4, 1.6, 1.9]);
    expect(spread([1, 2, 3], 8)).toEqual([1, 2, 3]);
    // Of a time between two frames, or behind the last, the nearest frame.
    const others = await picturesOf(rowOf('film.mp4', [0.32, 0.37, 77]));
    expect(others.pictures.map(({ ptsSeconds }) => ptsSeconds)).toEqual([0.3, 0.4, 1.9]);
  });

  it('are spread evenly where the row does not say which frames it was answered from', async () => {
    for (const row of [rowOf('film.mp4'), { ...rowOf('film.mp4'), ptsSeconds: null }]) {
      const { pictures, areShown } = await picturesOf(row);
      expect([pictures.length, areShown]).toEqual([8, false]);
      expect([pictures[0]!.ptsSeconds, pictures[7]!.ptsSeconds]).toEqual([0, 1.9]);
    }
  });

  it('are looked for by name in a folder of videos alone', async () => {
    expect((await picturesOf(rowOf('other', [0]), { isSearched: true })).pictures).toHaveLength(1);
    const missed = await picturesOf(rowOf('other.mp4', [0]));
    // Without the folder: the page may go to somebody else.
    expect(missed).toEqual({ pictures: [], areShown: true, reason: '"other.mp4" does not exist' });
    writeFileSync(join(folder, 'text.mp4'), 'no video, as one may see');
    expect((await picturesOf(rowOf('text.mp4', [0]))).reason).toMatch(/^"text\.mp4": expected a video/);
  });

  it('end where the page holds enough, and say so', async () => {
    const rows = [1, 2, 3].map((line) => rowOf('film.mp4', [0.5], line));
    const { pictures } = await picturesOf(rows[0]!);
    const mostBytes = pictures[0]!.src.length + 1;
    const taken = await takePictures(rows, { folder, isSearched: false, mostBytes });
    expect([...taken.values()].map((one) => one.pictures.length)).toEqual([1, 0, 0]);
    expect(taken.get(3)!.reason).toMatch(/^the page holds .* MiB of them at most$/);
  });

  it('stop when they are told to', async () => {
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(picturesOf(rowOf('film.mp4', [0]), { signal })).rejects.toThrow('enough');
  });
});

describe('the page of a batch', () => {
  it('shows the worst rows with their frames, unless it shall not', async () => {
    const rows = [
      { video: 'film.mp4', question: 'What colour?', answer: 'red', options: ['red', 'blue'] },
      { video: 'film.mp4', question: 'Which way does it go?', answer: 'nowhere' },
    ];
    writeFileSync(join(folder, 'rows.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
    const run = await cli(['batch', 'rows.jsonl', '--local', '--out', 'answers.jsonl'], {}, folder);
    expect(run.code).toBe(0);
    const lines = readFileSync(join(folder, 'answers.jsonl'), 'utf8').trim().split('\n');
    for (const line of lines) {
      const { frames, ptsSeconds } = JSON.parse(line).run;
      expect(ptsSeconds).toHaveLength(frames);
      expect(ptsSeconds[0]).toBe(0);
    }
    const wrong = documentOf(await cli(['report', 'answers.jsonl', '--json'], {}, folder)).wrong as object[];
    expect(wrong.length).toBeGreaterThan(0);
    const pageOf = async (...args: string[]) => {
      const { code, stderr } = await cli(
        ['report', 'answers.jsonl', '--out', 'page.html', ...args],
        {},
        folder,
      );
      expect([code, stderr]).toEqual([0, '']);
      return readFileSync(join(folder, 'page.html'), 'utf8');
    };
    const page = await pageOf();
    expect(
      page.match(/<img src="data:image\/webp;base64,[^"]+" width="160" height="100" alt="The video at /g),
    ).toHaveLength(8 * wrong.length);
    expect(page).toContain('img-src data:');
    expect(page).toContain('<figcaption>0.0 s</figcaption>');
    expect(await pageOf('--no-pictures')).not.toContain('<img');
    expect(await pageOf('--videos', 'deep')).toContain(
      'No pictures: <span class="given">no video &quot;film.mp4&quot; in the folder of videos or',
    );
  });

  it('escapes what rows and errors say', async () => {
    const hostile = '<img src=x onerror=alert(1)>';
    const file = join(folder, 'hostile.jsonl');
    const row = { video: hostile, question: hostile, prediction: 'A', answer: 'B', options: [hostile, 'b'] };
    writeFileSync(file, `${JSON.stringify(row)}\n`);
    const report = await makeReport(file);
    const pictures = await takePictures(report.wrong, { folder, isSearched: true });
    const page = renderPage(report, new Date(0), pictures);
    expect(page).not.toContain('<img');
    expect(page).toContain('A. &lt;img');
    for (const tag of ['article', 'p', 'dl', 'div', 'dd', 'span'])
      expect(page.split(`</${tag}>`).length).toBe(page.split(new RegExp(`<${tag}[ >]`)).length);
  });
});
