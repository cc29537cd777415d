import Table from 'cli-table3';
import { Argument, type Command } from 'commander';
import type { QueueClient } from '../../queues/client.js';
import { hasEnded, type RunControl, type RunRecord, silenceOf } from '../../queues/runs.js';
import { formatMs } from '../format.js';
import { withQueue } from './connect.js';
import { CliError, exitCodes, usageError } from './exit.js';
import { addCommonOptions, type Context, command } from './run.js';

const actions = { pause: 'pause', resume: null, drain: 'drain', stop: 'stop' } as const;
type Action = keyof typeof actions;

export function addRuns(program: Command): void {
  const runs = program
    .command('runs')
    .summary('how far batches are; pause, drain or stop one')
    .description(
      'Lists the runs of `batch` through this queue, the latest first, up to 100. With an action and an id it steers one: `pause` lets it take no more rows ' +
        'until `resume`, `drain` lets it end with the jobs under way, `stop` cancels these, too. A run that was drained or stopped goes on by the same command.',
    )
    .addArgument(new Argument('[action]', 'what a run is asked to do').choices(Object.keys(actions)))
    .argument('[id]', "the run's id");
  addCommonOptions(runs, ['runs', 'runs --json', 'runs pause 1b2c3d4e', 'runs resume 1b2c3d4e']).action(
    command(runRuns),
  );
}

async function runRuns(context: Context, action: Action | undefined, id: string | undefined): Promise<void> {
  if (action !== undefined && id === undefined) throw usageError(`${action}: which run? see visionzip runs`);
  await withQueue((client) =>
    action === undefined || id === undefined ? list(client, context) : steer(client, context, action, id),
  );
}

async function list(client: QueueClient, context: Context): Promise<void> {
  const runs = await client.runs();
  context.document({ runs });
  if (!context.json) process.stdout.write(`${describe(runs, Date.now())}\n`);
}

const sentences = {
  pause: 'the run takes no more rows until it is resumed',
  resume: 'the run goes on',
  drain: 'the run ends with the jobs under way',
  stop: 'the run stops',
} as const;

async function steer(client: QueueClient, context: Context, action: Action, id: string): Promise<void> {
  const what: RunControl | null = actions[action];
  const record = await client.run(id);
  const outcome = await client.controlRun(id, what);
  if (outcome === 'unknown')
    throw new CliError(exitCodes.failed, `no run has the id ${JSON.stringify(id)}; see visionzip runs`);
  context.document({ id, action, outcome });
  const sentence = outcome === 'finished' ? 'the run had ended before' : sentenceOf(action, record);
  if (!context.json) process.stdout.write(`${sentence}\n`);
}

/** What comes of an action, by what the run said last. */
function sentenceOf(action: Action, record: RunRecord | null): string {
  const minds = record?.state !== 'draining' || action === 'drain' || action === 'stop';
  const sentence = minds ? sentences[action] : 'the run was asked to drain before: it takes no more rows';
  const ms = record ? silenceOf(record) : 0;
  return ms > 0 ? `${sentence}, if it is still there: it has said nothing for ${formatMs(ms)}` : sentence;
}

function describe(runs: readonly RunRecord[], now: number): string {
  if (runs.length === 0) return 'none';
  const table = new Table({
    head: ['id', 'name', 'state', 'rows', 'right', 'pace', 'where'],
    style: { head: [], border: [] },
  });
  for (const run of runs)
    table.push([
      run.id,
      run.name,
      describeState(run, now),
      describeRows(run),
      describeAccuracy(run),
      describePace(run),
      `${run.host}, process ${run.pid}`,
    ]);
  return table.toString();
}

function describeState(run: RunRecord, now: number): string {
  if (hasEnded(run)) return `${run.state} ${formatMs(Math.max(0, now - Date.parse(run.updatedAt)))} ago`;
  const ms = silenceOf(run, now);
  return ms > 0 ? `${run.state}, silent for ${formatMs(ms)}` : run.state;
}

function describeRows({ done, total, failed, cancelled }: RunRecord): string {
  const lost = [failed > 0 ? `, ${failed} failed` : '', cancelled > 0 ? `, ${cancelled} cancelled` : ''];
  return `${done}/${total ?? '?'}${lost.join('')}`;
}

function describeAccuracy({ accuracy: { right, count } }: RunRecord): string {
  return count === 0 ? '–' : `${((100 * right) / count).toFixed(1)} % of ${count}`;
}

function describePace(run: RunRecord): string {
  if (run.rowsPerMinute === null) return '–';
  const left = hasEnded(run) || run.secondsLeft === null ? '' : `, ${formatMs(run.secondsLeft * 1000)} left`;
  return `${Math.round(run.rowsPerMinute)} a minute${left}`;
}
