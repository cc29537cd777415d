import type { DatasetFigures } from '../bench-dataset.js';
import type { DatasetRun } from './dataset.js';
import { ms, type Table, times } from './table.js';

/** The figures as tables of docs/results.md. */
export function datasetTables(figures: DatasetFigures): Table[] {
  return [runs(figures), memory(figures), redis(figures), cost(figures), speedUp(figures)];
}

function runs({ rows, clips, workers, cores, load, cold, warm }: DatasetFigures): Table {
  const row = (name: string, { jobs, seconds, rowsPerMinute, outsideOnnx, accuracy }: DatasetRun) => [
    ...[name, String(jobs), seconds.toFixed(0), rowsPerMinute.toFixed(0)],
    ...[percent(outsideOnnx.ofJobs), percent(outsideOnnx.ofWorkers), percent(accuracy)],
  ];
  return {
    title: `${count(rows)} rows about ${count(clips)} clips`,
    about:
      `\`visionzip batch\` with the shipped model through ${workers} workers of one thread each, ${2 * workers} jobs in flight; clips of 2 to 4 s, ` +
      `192 × 192. From the start of the command to its end, so that loading the model counts. The load of the machine (${cores} cores) was ` +
      `${load.toFixed(1)} when it began. *Outside of ONNX Runtime*: of the time that jobs take in their model process, and of all time of all workers.`,
    columns: [
      ...['', 'jobs', 's', 'rows a minute', 'outside of ONNX Runtime, of jobs', 'of the workers’ time'],
      'right',
    ],
    rows: [row('from nothing', cold), row('videos encoded before, no answers', warm)],
  };
}

function memory({ cold, warm }: DatasetFigures): Table {
  return {
    title: 'Resident memory of its processes',
    about:
      'In MiB, of the run from nothing and, behind the strokes, of the one with the videos encoded: once 5 % of the rows are answered, and at the end.',
    columns: ['process', 'at 5 %', 'at the end', 'grown'],
    rows: cold.memory.map(({ name, startMiB, endMiB }) => {
      const again = warm.memory.find((other) => other.name === name);
      const both = (a: number, b = Number.NaN) => `${a.toFixed(0)} / ${b.toFixed(0)}`;
      return [
        ...[name, both(startMiB, again?.startMiB), both(endMiB, again?.endMiB)],
        `${times(endMiB / startMiB)} / ${times((again?.endMiB ?? Number.NaN) / (again?.startMiB ?? Number.NaN))}`,
      ];
    }),
  };
}

function redis({ redis: { usedMiB, kinds } }: DatasetFigures): Table {
  return {
    title: 'What it leaves in Redis',
    about: `At the end of the run from nothing; the server takes ${usedMiB.toFixed(1)} MiB altogether. Sizes by \`MEMORY USAGE\`.`,
    columns: ['keys', 'number', 'MiB'],
    rows: kinds.map(({ name, keys, mib }) => [name, count(keys), mib.toFixed(2)]),
  };
}

function cost({ cost: { jobs, medianMs, jobsPerSecond, msAJob } }: DatasetFigures): Table {
  return {
    title: 'What the queue costs a job',
    about:
      `${count(jobs)} jobs through one worker whose model process answers at once: from enqueueing to having the document one at a time, and ` +
      'jobs a second with 8 under way.',
    columns: ['', 'median ms, one at a time', 'jobs a second', 'ms a job'],
    rows: [['a job', ms(medianMs), jobsPerSecond.toFixed(0), ms(msAJob)]],
  };
}

function speedUp({ speedUps, waitMs }: DatasetFigures): Table {
  return {
    title: 'More workers',
    about: `Jobs that are a wait of ${waitMs} ms in the model process, two under way for each worker.`,
    columns: ['workers', 'jobs a second', 'times one worker'],
    rows: speedUps.map(({ workers, jobsPerSecond, speedUp }) => [
      ...[String(workers), jobsPerSecond.toFixed(2), times(speedUp)],
    ]),
  };
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

function count(value: number): string {
  return value.toLocaleString('en-US');
}
