import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Table } from '../bench/table.js';
import { ask, encodeClip } from './ask.js';
import type { EvalClip } from './clips.js';
import { type Evaluation, forEachClip, type PartOutcome, shortClips } from './evaluation.js';
import {
  type Answered,
  accuracy,
  type ClipResult,
  difference,
  percentInterval,
  pointsInterval,
} from './results.js';
import { kept, mainBudget } from './settings.js';

/** One way to put the same clip into a file. */
interface Container {
  /** Names the results, and the file by its ending. */
  readonly id: string;
  readonly title: string;
  /** ffmpeg's arguments behind the input; null for the clip as it is. */
  readonly output: readonly string[] | null;
}

const copied = ['-c', 'copy'];
const x264 = ['-c:v', 'libx264', '-crf', '12', '-pix_fmt', 'yuv420p'];
/** White of the clip at 203 nits (ITU-R BT.2408), as a graded HDR10 video has it. */
const toHdr10 = [
  'format=gbrp',
  'zscale=tin=iec61966-2-1:pin=bt709:min=gbr:rin=full:m=gbr:p=bt709:t=linear:npl=203',
  'format=gbrpf32le',
  'zscale=tin=linear:pin=bt709:min=gbr:t=smpte2084:p=bt2020:m=bt2020nc:r=limited:npl=203',
  'format=yuv420p10le',
].join(',');
const hdr10Tags = 'log-level=none:hdr10=1:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc';

const containers: readonly Container[] = [
  { id: 'clip.mp4', title: 'MP4, as made', output: null },
  { id: 'default.ts', title: 'MPEG-TS, the muxer’s own start', output: copied },
  {
    id: 'broadcast.ts',
    title: 'MPEG-TS, a broadcast’s clock (83,013 s)',
    output: [...copied, '-output_ts_offset', '83013'],
  },
  {
    id: 'offset.mkv',
    title: 'Matroska, from 10 s on',
    output: [...copied, '-output_ts_offset', '10', '-avoid_negative_ts', 'disabled'],
  },
  {
    id: 'wide.mp4',
    title: 'half the width, pixels 2:1',
    output: ['-vf', 'scale=iw/2:ih:flags=area,setsar=2', ...x264],
  },
  {
    id: 'hdr10.mp4',
    title: 'HDR10 (HEVC, PQ, bt2020)',
    output: ['-vf', toHdr10, '-c:v', 'libx265', '-crf', '12', '-x265-params', hdr10Tags, '-tag:v', 'hvc1'],
  },
];
const reference = containers[0]!.id;

/** The same questions on the same clips in files of other kinds: where a player shows the same, answers must be the same. */
export async function evaluateContainers(evaluation: Evaluation, count: number): Promise<PartOutcome> {
  const { model, tuned } = evaluation;
  const setting = kept(model, 'visionzip', mainBudget(model), tuned.get('visionzip'));
  const journal = evaluation.journal('containers', containers);
  const results: ClipResult[] = [];
  await forEachClip(evaluation, 'containers', shortClips(evaluation, count), async (clip) => {
    const answered: Record<string, Answered> = {};
    for (const container of containers.filter(({ id }) => !journal.has(clip.id, id))) {
      const file = await putInto(evaluation, clip, container);
      const frames = await encodeClip(model, { ...clip, file }, evaluation.frames);
      answered[container.id] = await ask(model, setting, frames, clip);
    }
    journal.add({ clip: clip.id, rows: clip.rows, answered });
    results.push(journal.get(clip.id));
  });
  return containersOutcome(results);
}

/** The clip in a container; made once. */
async function putInto(
  { clips, signal }: Evaluation,
  { id: clip, file }: EvalClip,
  { id, output }: Container,
): Promise<string> {
  if (output === null) return file;
  const folder = join(clips, 'containers', clip.replaceAll('/', '-'));
  const target = join(folder, id);
  if (existsSync(target)) return target;
  mkdirSync(folder, { recursive: true });
  // Under another name first: what is there is whole. The ending stays, it names the container.
  const part = join(folder, `part-${id}`);
  await promisify(execFile)('ffmpeg', ['-v', 'error', '-nostdin', '-y', '-i', file, ...output, part], {
    signal,
  });
  renameSync(part, target);
  return target;
}

/** Right answers by container, and beside those of the clip as it was made. */
export function containersOutcome(results: readonly ClipResult[]): PartOutcome {
  const right = containers.map(({ id, title }) => ({
    ...{ id, title },
    accuracy: accuracy(results, id),
    when: accuracy(results, id, ({ kind }) => kind === 'when'),
    difference: difference(results, id, reference),
  }));
  const questions = results.flatMap(({ rows }) => rows).length;
  const table: Table = {
    title: 'The same clips in files of other kinds',
    about:
      `${questions} questions on ${results.length} of the short clips, with VisionZip as the worker uses it; per cent right ` +
      'with 95 % intervals by bootstrap over clips, against MP4 in pairs. The first three copies hold the same pictures under ' +
      'other clocks; the last two are encoded anew.',
    columns: ['file', 'right', 'points against MP4', '`when` right'],
    rows: right.map((row) => [
      row.title,
      percentInterval(row.accuracy),
      pointsInterval(row.difference),
      percentInterval(row.when),
    ]),
  };
  return { tables: [table], data: { clips: results.length, questions, containers: right } };
}
