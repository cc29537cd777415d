import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

export interface SeenProcess {
  readonly pid: number;
  readonly parent: number;
  /** With the number it is an identity: numbers are used again. */
  readonly started: string;
  readonly command: string;
}

/** The processes of this machine, but for those that have ended and only wait to be asked how. */
export async function listProcesses(): Promise<SeenProcess[]> {
  const columns = 'pid=,ppid=,stat=,lstart=,args=';
  const { stdout } = await promisify(execFile)('ps', ['-A', '-ww', '-o', columns], {
    maxBuffer: 64 * 1024 * 1024,
  });
  return stdout.split('\n').flatMap((line) => {
    const fields = /^\s*(\d+)\s+(\d+)\s+(\S+)\s+(\S+\s+\S+\s+\d+\s+\S+\s+\d+)\s+(.*)$/.exec(line);
    if (!fields || fields[3]!.startsWith('Z')) return [];
    return [{ pid: Number(fields[1]), parent: Number(fields[2]), started: fields[4]!, command: fields[5]! }];
  });
}

/** All that descend from a process, whatever group or session they moved to. */
export function descendantsOf(pid: number, processes: readonly SeenProcess[]): SeenProcess[] {
  const children = processes.filter(({ parent }) => parent === pid);
  return children.flatMap((child) => [child, ...descendantsOf(child.pid, processes)]);
}

/** Every process that workers were seen to have, so that none of them is forgotten. */
export class ProcessRecord {
  readonly #seen = new Map<string, SeenProcess>();

  /** @returns the descendants of one worker. */
  async look(worker: number): Promise<SeenProcess[]> {
    const found = descendantsOf(worker, await listProcesses());
    for (const process of found) this.#seen.set(identityOf(process), process);
    return found;
  }

  /** Those seen that still run, and whatever else names the folder on its command line. */
  async left(folder: string): Promise<SeenProcess[]> {
    const running = await listProcesses();
    return running.filter(
      (process) =>
        process.pid !== globalThis.process.pid &&
        (this.#seen.has(identityOf(process)) || process.command.includes(folder)),
    );
  }
}

function identityOf({ pid, started }: SeenProcess): string {
  return `${pid} ${started}`;
}
