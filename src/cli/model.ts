import type { Command } from 'commander';
import { type DtypeWish, tellDtypes } from '../models/layout.js';
import { limitOfLicense } from '../models/license.js';
import { dtypesOf, type Manifest } from '../models/manifest.js';
import type { PublishedModel } from '../models/published.js';
import type { GenerationDefaults } from '../models/types.js';
import { settings } from './connect.js';
import { alone, dtypeOption, mib, tellRows } from './model-folder.js';
import { addPull } from './model-pull.js';
import { addCommonOptions, type Context, command } from './run.js';

interface PrepareOptions {
  readonly dtype?: DtypeWish;
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
  const { describeModel, readGenerationDefaults } = await import('../models/folder.js');
  const { measureModel } = await import('../models/inspect.js');
  const description = await describeModel(dir);
  const size = await measureModel(description.dir, description.manifest);
  const generationDefaults = await readGenerationDefaults(description.dir);
  context.document({ ...description, size, generationDefaults });
  if (context.json) return;
  const { manifest } = description;
  const { tower } = manifest;
  const grid = tower.pooled ?? tower.grid;
  const { decoder, weightBytes, cacheBytes, memoryBytes } = size;
  const rows: [string, string][] = [
    ['family', `${manifest.family}, ${tellDtypes(dtypesOf(manifest))}`],
    ['tower', `${patchesOf(tower)}, ${tower.width} wide`],
    [unitOf(tower), `${grid.rows * grid.columns} tokens; by default ${keptOf(manifest)}`],
    ...pictureRow(manifest),
    ['a video', framesOf(manifest)],
    ['VisionZip', usedOf(manifest)],
    ['answers', answersOf(generationDefaults)],
    ['decoder', `${decoder.layers} blocks, ${decoder.kvHeads} × ${decoder.headWidth} keys and values`],
    ['context', `${manifest.contextLength} tokens`],
    ['weights', `vision ${mib(weightBytes.vision)} MiB, language ${mib(weightBytes.language)} MiB`],
    ['cache', `${mib(cacheBytes)} MiB for a whole context`],
    ['memory', `about ${mib(memoryBytes)} MiB`],
  ];
  process.stdout.write(`${manifest.name}\n${tellRows(rows)}`);
}

/** How it answers by default, and what of its own settings there is to ask for. */
function answersOf({ samples, repetitionPenalty, maxNewTokens, ...own }: GenerationDefaults): string {
  const { temperature, topK, topP } = own;
  const sampling = samples
    ? `; with \`--generation model\` at temperature ${temperature}, top k ${topK ?? 'all'}, top p ${topP}`
    : '';
  const length = maxNewTokens ? `; its own length is ${maxNewTokens} tokens` : '';
  return `greedy${repetitionPenalty === 1 ? '' : `, repetition penalty ${repetitionPenalty}`}${sampling}${length}`;
}

function framesOf({ defaults: { frames, mostFrames = frames, framesPerSecond = 1 } }: Manifest): string {
  if (mostFrames === frames) return `${frames} frames by default`;
  return `${frames} to ${mostFrames} frames by default, ${framesPerSecond} a second`;
}

function pictureRow({ pictureResolutions, splitsPictures }: Manifest): [string, string][] {
  if (splitsPictures) return [['a picture', 'the whole and its crops, as many tokens each']];
  if (!pictureResolutions) return [];
  return [
    ['a picture', `the whole and its crops, as many tokens each; cut from ${sizes(pictureResolutions)}`],
  ];
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
    .summary('list the models that jobs may name, or that can be pulled')
    .description(
      'Lists the models below the models folders: prepared ones, and those that were pulled alone. With --published it lists repositories of ' +
        'the hub that are known to be of use, with size, licence and what VisionZip does there; others in the same layout may be pulled, too.',
    )
    .option('--published', 'what can be pulled instead');
  addCommonOptions(list, ['model list', 'model list --json', 'model list --published']).action(
    command(runList),
  );
}

async function runList(context: Context, options: { readonly published?: boolean }): Promise<void> {
  if (options.published) return listPublished(context);
  const { listModels } = await import('../models/list.js');
  const models = await listModels(settings().modelDirs);
  context.document({ models });
  if (context.json) return;
  const lines = models.map(({ name, dir, state }) => `${name}  ${state}  ${dir}\n`);
  process.stdout.write(lines.join('') || 'no models\n');
}

async function listPublished(context: Context): Promise<void> {
  const { publishedModels } = await import('../models/published.js');
  context.document({ published: publishedModels });
  if (context.json) return;
  const told = publishedModels.map(tellPublished);
  process.stdout.write(
    `${told.join('\n')}\nSizes are about: \`model pull\` reads them, and the licence, again.\n`,
  );
}

function tellPublished({
  id,
  family,
  parameters,
  license,
  tower,
  visionZip,
  downloads,
}: PublishedModel): string {
  const limit = limitOfLicense(license);
  const sizes = Object.entries(downloads).map(([dtype, bytes]) => `${decimal(bytes)} (${dtype})`);
  const lines = [
    `${(parameters / 1e9).toPrecision(2)} B parameters, ${family}, ${tower}`,
    `VisionZip ${visionZip}`,
    sizes.length > 0 ? `about ${sizes.join(', ')}` : 'size unknown: `model pull --dry-run` says',
    `licence ${license}${limit ? `: ${limit}` : ''}`,
  ];
  return `${id}\n${lines.map((line) => `  ${line}\n`).join('')}`;
}

/** "208 MB" or "1.05 GB", as the hub counts. */
function decimal(bytes: number): string {
  return bytes < 1e9 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}
