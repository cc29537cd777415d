import { mkdir, rmdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { type DtypeWish, tellDtypes } from '../models/layout.js';
import type { Pulled } from '../models/pull.js';
import type { PullPlan } from '../models/pull-plan.js';
import type { Hub } from '../settings.js';
import { settings } from './connect.js';
import { usageError } from './exit.js';
import { plural } from './format.js';
import { alone, dtypeOption, mib, tellRows } from './model-folder.js';
import { createDownloadBar } from './progress.js';
import { addCommonOptions, type Context, command } from './run.js';

interface PullOptions {
  readonly revision: string;
  readonly dtype?: DtypeWish;
  readonly dir?: string;
  readonly dryRun?: boolean;
}

export function addPull(model: Command): void {
  const pull = model
    .command('pull')
    .summary('download a published model')
    .description(
      'Downloads what the worker needs of a model in the layout of transformers.js. Before the weights it says under which licence the ' +
        'model is, how large the download and about how much memory it takes, and refuses a model that cannot be used. A download that broke ' +
        'off goes on; what is there is checked and stays. HF_ENDPOINT, HF_TOKEN and HF_HOME are honoured.',
    )
    .argument('<hub-id>', 'owner/name on the hub')
    .option('--revision <name>', 'branch, tag or commit', 'main')
    .addOption(dtypeOption())
    .option('--dir <dir>', 'folder of the model (default: $HF_HOME/visionzip/OWNER--NAME)')
    .option(
      '--dry-run',
      'fetch the small files alone, say what the rest will be, and end before the weights',
    );
  addCommonOptions(pull, [
    'model pull llava-hf/llava-onevision-qwen2-0.5b-ov-hf',
    'model pull llava-hf/llava-onevision-qwen2-0.5b-ov-hf --dtype fp32 --dir models/onevision',
    'model pull HuggingFaceTB/SmolVLM2-500M-Video-Instruct --dry-run --json',
  ]).action(command(runPull));
}

async function runPull(context: Context, id: string, options: PullOptions): Promise<void> {
  const hub = checkHub(id);
  const dir = resolve(options.dir ?? join(hub.modelsDir, id.replace('/', '--')));
  const { pullModel } = await import('../models/pull.js');
  await mkdir(dir, { recursive: true });
  const bar = createDownloadBar();
  try {
    const pulled = await alone(dir, () =>
      pullModel({
        access: { endpoint: hub.endpoint, token: hub.token, id },
        revision: options.revision,
        ...(options.dtype && { dtype: options.dtype }),
        dir,
        signal: context.signal,
        dryRun: options.dryRun ?? false,
        onPlan: (plan) => {
          bar.clear();
          process.stderr.write(tellPlan(plan));
        },
        onProgress: (done, total, path) =>
          bar.update(done, total, `${mib(done)} of ${mib(total)} MiB  ${path}`),
      }),
    );
    bar.clear();
    context.document({ ...pulled, dryRun: options.dryRun ?? false });
    if (context.json) return;
    process.stdout.write(`${dir}\n`);
    process.stderr.write(`${options.dryRun ? 'none of the weights was fetched' : tellPulled(pulled)}\n`);
  } finally {
    bar.clear();
    // Of a model that is not there nothing stays, not even its folder.
    await rmdir(dir).catch(() => {});
  }
}

/** The hub's settings. Throws a usage error for what is wrong with them, or with the model's name. */
function checkHub(id: string): Hub {
  if (!/^[\w.-]+\/[\w.-]+$/.test(id))
    throw usageError(`expected a model as owner/name, got ${JSON.stringify(id)}`);
  const { hub } = settings();
  if (!/^https?:$/.test(URL.parse(hub.endpoint)?.protocol ?? ''))
    throw usageError(`HF_ENDPOINT: expected a URL such as https://huggingface.co, got "${hub.endpoint}"`);
  if (hub.token !== null && !/^hf_\S+$/.test(hub.token))
    throw usageError('HF_TOKEN: expected a token that begins with hf_ and holds no white space');
  return hub;
}

function tellPlan({ id, commit, family, license, licenseWarning, ...plan }: PullPlan): string {
  const { bytes, dtypes, partBytes, memory } = plan;
  const parts = (['vision', 'embed', 'decoder'] as const).map(
    (part) => `${part} ${dtypes[part]} ${mib(partBytes[part])}`,
  );
  const rows = tellRows([
    ['licence', license ? `${license.name}${license.link ? `, ${license.link}` : ''}` : 'not stated'],
    ['download', `${mib(bytes)} MiB: ${parts.join(', ')}, the rest ${mib(partBytes.others)}`],
    [
      'memory',
      `about ${mib(memory.totalBytes)} MiB: weights ${mib(memory.weightBytes)}, ` +
        `the cache of a usual prompt ${mib(memory.cacheBytes)}, the vision tower ${mib(memory.towerBytes)}`,
    ],
  ]);
  const warning = licenseWarning ? `visionzip: ${licenseWarning}\n` : '';
  return `${id} at ${commit.slice(0, 8)}: ${family}\n${rows}${warning}`;
}

function tellPulled({ dir, files, bytes, dtypes, fetched }: Pulled): string {
  const news = fetched === 0 ? 'all there already' : `${mib(fetched)} MiB fetched`;
  return (
    `${plural(files, 'file')}, ${mib(bytes)} MiB, ${tellDtypes(dtypes)}; ${news}\n` +
    `next: visionzip model prepare ${dir}`
  );
}
