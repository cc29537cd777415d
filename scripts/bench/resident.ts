import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { descendantsOf, listProcesses } from '../chaos/processes.js';

/** Resident memory by the name of the process, in MiB. */
export type Resident = ReadonlyMap<string, number>;

/** What workers, their model processes and a batch take at the moment. */
export async function residentOf(workers: readonly number[], batch: number): Promise<Resident> {
  const processes = await listProcesses();
  const names = new Map([[batch, 'batch']]);
  for (const [i, worker] of workers.entries()) {
    names.set(worker, `worker ${i + 1}`);
    const model = descendantsOf(worker, processes).find(({ command }) => command.includes('model-child.js'));
    if (model) names.set(model.pid, `its model process (${i + 1})`);
  }
  const { stdout } = await promisify(execFile)('ps', ['-o', 'pid=,rss=', '-p', [...names.keys()].join()]);
  const lines = stdout.trim().split('\n');
  const sizes = new Map(lines.map((line) => line.trim().split(/\s+/).map(Number) as [number, number]));
  return new Map(
    [...names].flatMap(([pid, name]): [string, number][] => {
      const kib = sizes.get(pid);
      return kib === undefined ? [] : [[name, kib / 1024]];
    }),
  );
}
