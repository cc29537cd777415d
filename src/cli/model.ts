import { constants, existsSync, statSync } from 'node:fs';
import { access, mkdir, rmdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { InputError } from '../errors.js';
import { type DtypeWish, dtypes, parseDtypes, tellDtypes } from '../models/layout.js';
import { dtypesOf, type Manifest } from '../models/manifest.js';
import { withLock } from '../workers/lock.js';
import { settings } from './connect.js';
import { usageError } from './exit.js';
import { plural } from './format.js';
import { startBar } from './progress.js';
import { addCommonOptions, type Context, command } from './run.js';

interface PullOptions {
  readonly revision: string;
  readonly dtype?: DtypeWish;
  readonly dir?: string;
}

interface PrepareOptions {
  readonly dtype?: DtypeWish;
}

const LOCK_WAIT_MS = 1000;

const dtypeOption = () =>
  new Option(
    '--dtype <types>',
    `type of the weights: one of ${dtypes.join(', ')}, and the nearest for parts that are not there in it; or one for each part, such as ` +
      'vision=fp16,embed=fp16,decoder=q4 (default: what the makers of the family recommend, else the first there is)',
  ).argParser(dtypeArgument);

function dtypeArgument(text: string): DtypeWish {
  try {
    return parseDtypes(text);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

export function addModel(program: Command): void {
  const model = program
    .command('model')
    .summary('fetch, prepare and look at models')
    .description('Fetches published vision-language models and makes them ready for the worker.');
  addPull(model);
  addPrepare(model);
  addInspect(model);
  addList(model);
}

function addPull(model: Command): void {
  const pull = model
    .command('pull')
    .summary('download a published model')
    .description(
      'Downloads what the worker needs of a model in the layout of transformers.js. A download that broke off goes on; ' +
        'what is there is checked and stays. HF_ENDPOINT, HF_TOKEN and HF_HOME are honoured.',
    )
    .argument('<hub-id>', 'owner/name on the hub')
    .option('--revision <name>', 'branch, tag or commit', 'main')
    .addOption(dtypeOption())
    .option('--dir <dir>', 'folder of the model (default: $HF_HOME/visionzip/OWNER--NAME)');
  addCommonOptions(pull, [
    'model pull llava-hf/llava-onevision-qwen2-0.5b-ov-hf',
    'model pull llava-hf/llava-onevision-qwen2-0.5b-ov-hf --dtype fp32 --dir models/onevision',
  ]).action(command(runPull));
}

async function runPull(context: Context, id: string, options: PullOptions): Promise<void> {
  if (!/^[\w.-]+\/[\w.-]+$/.test(id))
    throw usageError(`expected a model as owner/name, got ${JSON.stringify(id)}`);
  const { hub } = settings();
  if (!/^https?:$/.test(URL.parse(hub.endpoint)?.protocol ?? ''))
    throw usageError(`HF_ENDPOINT: expected a URL such as https://huggingface.co, got "${hub.endpoint}"`);
  if (hub.token !== null && !/^hf_\S+$/.test(hub.token))
    throw usageError('HF_TOKEN: expected a token that begins with hf_ and holds no white space');
  const dir = resolve(options.dir ?? join(hub.modelsDir, id.replace('/', '--')));
  const { pullModel } = await import('../models/pull.js');
  await mkdir(dir, { recursive: true });
  const bar = process.stderr.isTTY ? startBar() : null;
  try {
    const pulled = await alone(dir, () =>
      pullModel({
        access: { endpoint: hub.endpoint, token: hub.token, id },
        revision: options.revision,
        ...(options.dtype && { dtype: options.dtype }),
        dir,
        signal: context.signal,
        onProgress: (done, total, path) => {
          bar?.setTotal(total);
          bar?.update(done, { label: `${mib(done)} of ${mib(total)} MiB  ${path}` });
        },
      }),
    );
    bar?.stop();
    context.document(pulled);
    if (!context.json) {
      const { files, bytes, dtypes: types, fetched } = pulled;
      const news = fetched === 0 ? 'all there already' : `${mib(fetched)} MiB fetched`;
      process.stdout.write(`${dir}\n`);
      process.stderr.write(
        `${plural(files, 'file')}, ${mib(bytes)} MiB, ${tellDtypes(types)}; ${news}\nnext: visionzip model prepare ${dir}\n`,
      );
    }
  } finally {
    bar?.stop();
    // Of a model that is not there nothing stays, not even its folder.
    await rmdir(dir).catch(() => {});
  }
}

/** Two processes that write into one folder would spoil each other's files. */
async function alone<T>(dir: string, work: () => Promise<T>): Promise<T> {
  if (!existsSync(dir)) return work();
  await access(dir, constants.W_OK).catch((cause: NodeJS.ErrnoException) => {
    throw new InputError(`${dir} must be a folder that can be written to: ${cause.code}`, { cause });
  });
  if (!statSync(dir).isDirectory()) throw new InputError(`${dir} must be a folder, it is a file`);
  return withLock(join(dir, '.visionzip.lock'), LOCK_WAIT_MS, work);
}

function addPrepare(model: Command): void {
  const prepare = model
    .command('prepare')
    .summary('make a downloaded model ready for the worker')
    .description(
      'Cuts the published graphs so that VisionZip gets what it needs, and compares the result with the untouched ' +
        'graphs. The weights stay where they are: only small graphs and visionzip.json are written beside them.',
    )
    .argument('<dir>', 'folder of the model')
    .addOption(dtypeOption());
  addCommonOptions(prepare, [
    'model prepare models/onevision',
    'model prepare models/onevision --dtype int8',
  ]).action(command(runPrepare));
}

async function runPrepare(context: Context, dir: string, options: PrepareOptions): Promise<void> {
  const { prepareModel } = await import('../models/prepare/prepare.js');
  const { manifest, differences } = await alone(dir, () =>
    prepareModel(dir, {
      ...(options.dtype && { dtype: options.dtype }),
      threads: settings().threads,
      onStep: (what) => process.stderr.write(`${what}\n`),
    }),
  );
  context.document({ manifest, differences });
  if (context.json) return;
  const { tower, family, order } = manifest;
  const lines = [
    `${manifest.name}: ${family}, ${tellDtypes(dtypesOf(manifest))}`,
    `tower      ${patchesOf(tower)}, ${order}`,
    `VisionZip  ${usedOf(manifest)}`,
    `default    ${keptOf(manifest)} ${unitOf(tower)}`,
    ...differences.map(
      ({ what, largest }) => `${what}: at most ${largest.toExponential(1)} from the untouched graph's`,
    ),
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}

/** Towers that take pictures in their own proportions are told by a usual video. */
function patchesOf({ grid, native, cls }: Manifest['tower']): string {
  if (!native) return `${grid.rows} × ${grid.columns} patches${cls ? ' and CLS' : ''}`;
  const { patchSize, mergeSize } = native;
  const [rows, columns] = [grid.rows * mergeSize, grid.columns * mergeSize];
  return `${rows} × ${columns} patches of ${patchSize} pixels for 640 × 360, and other sizes in proportion`;
}

function unitOf({ native }: Manifest['tower']): string {
  return native && native.framesTogether > 1 ? `${native.framesTogether} frames` : 'a frame';
}

/** What is kept of a frame by default. */
function keptOf({ tower, defaults: { compression } }: Manifest): string {
  if (tower.keyWidth === 0) return 'all of them';
  return `${compression.dominant} + ${compression.contextual} tokens`;
}

function addInspect(model: Command): void {
  const inspect = model
    .command('inspect')
    .summary('say what a model is and what it will take')
    .description(
      'Says what a prepared model is, what VisionZip uses of it, and about how much memory it will take.',
    )
    .argument('<dir>', 'folder of the model');
  addCommonOptions(inspect, ['model inspect models/nano', 'model inspect models/nano --json']).action(
    command(runInspect),
  );
}

async function runInspect(context: Context, dir: string): Promise<void> {
  const { describeModel } = await import('../models/folder.js');
  const { measureModel } = await import('../models/inspect.js');
  const description = await describeModel(dir);
  const size = await measureModel(description.dir, description.manifest);
  context.document({ ...description, size });
  if (context.json) return;
  const { manifest } = description;
  const { tower } = manifest;
  const grid = tower.pooled ?? tower.grid;
  const { decoder, weightBytes, cacheBytes, memoryBytes } = size;
  const rows = [
    ['family', `${manifest.family}, ${tellDtypes(dtypesOf(manifest))}`],
    ['tower', `${patchesOf(tower)}, ${tower.width} wide`],
    [unitOf(tower), `${grid.rows * grid.columns} tokens; by default ${keptOf(manifest)}`],
    ...(manifest.pictureResolutions
      ? [
          [
            'a picture',
            `the whole and its crops, as many tokens each; cut from ${sizes(manifest.pictureResolutions)}`,
          ],
        ]
      : []),
    ...(manifest.splitsPictures ? [['a picture', 'the whole and its crops, as many tokens each']] : []),
    ['a video', framesOf(manifest)],
    ['VisionZip', usedOf(manifest)],
    ['decoder', `${decoder.layers} blocks, ${decoder.kvHeads} × ${decoder.headWidth} keys and values`],
    ['context', `${manifest.contextLength} tokens`],
    ['weights', `vision ${mib(weightBytes.vision)} MiB, language ${mib(weightBytes.language)} MiB`],
    ['cache', `${mib(cacheBytes)} MiB for a whole context`],
    ['memory', `about ${mib(memoryBytes)} MiB`],
  ];
  process.stdout.write(
    `${manifest.name}\n${rows.map(([name, what]) => `${name!.padEnd(11)}${what}`).join('\n')}\n`,
  );
}

function framesOf({ defaults: { frames, mostFrames = frames, framesPerSecond = 1 } }: Manifest): string {
  if (mostFrames === frames) return `${frames} frames by default`;
  return `${frames} to ${mostFrames} frames by default, ${framesPerSecond} a second`;
}

function sizes(resolutions: readonly (readonly [height: number, width: number])[]): string {
  return resolutions.map(([height, width]) => `${width} × ${height}`).join(', ');
}

const whenOf: Record<Manifest['order'], string> = {
  'compress-project': 'before projecting',
  'project-pool-compress': 'after projecting and pooling',
  'project-compress': 'behind the connector',
};

function usedOf({ tower, order }: Manifest): string {
  if (tower.scores === 'similarity')
    return "likeness to the mean token (ours, not the paper's), keys are the features";
  const scores =
    tower.cls || tower.scores === 'cls-attention'
      ? "CLS's attention"
      : 'the attention that each token receives';
  const block = tower.selectedLayer > 0 ? `block ${tower.selectedLayer}` : 'the last block';
  return `${scores} in ${block}, keys of ${tower.keyWidth}, ${whenOf[order]}`;
}

function addList(model: Command): void {
  const list = model
    .command('list')
    .summary('list the models that jobs may name')
    .description(
      'Lists the models below the models folders: prepared ones, and those that were pulled alone.',
    );
  addCommonOptions(list, ['model list', 'model list --json']).action(command(runList));
}

async function runList(context: Context): Promise<void> {
  const { listModels } = await import('../models/list.js');
  const models = await listModels(settings().modelDirs);
  context.document({ models });
  if (context.json) return;
  const lines = models.map(({ name, dir, state }) => `${name}  ${state}  ${dir}\n`);
  process.stdout.write(lines.join('') || 'no models\n');
}

function mib(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(bytes < 10 * 2 ** 20 ? 1 : 0);
}
