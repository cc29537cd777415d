import { expect } from 'vitest';

interface Family {
  readonly type: string;
  readonly help: string;
  readonly samples: {
    readonly name: string;
    readonly labels: Record<string, string>;
    readonly value: number;
  }[];
}

const sample = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (-?[\d.]+(?:e[+-]?\d+)?|[+-]Inf|nan)$/i;
const label = /^([a-zA-Z_]\w*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/;

/** Reads Prometheus' text format, version 0.0.4, with numbers as Go reads them, and fails on what does not follow it. */
export function parseExposition(text: string): Map<string, Family> {
  expect(text.endsWith('\n')).toBe(true);
  const families = new Map<string, Family>();
  for (const line of text.split('\n').filter((line) => line !== '')) {
    const [, kind, family = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? [];
    if (kind === 'HELP') families.set(family, { type: '', help: rest, samples: [] });
    else if (kind === 'TYPE') families.set(family, { ...families.get(family)!, type: rest });
    else addSample(families, line);
  }
  return families;
}

function addSample(families: Map<string, Family>, line: string): void {
  const [, name = '', labels = '', value = ''] = sample.exec(line) ?? expect.fail(`no sample: ${line}`);
  const [latest] = [...families.keys()].slice(-1);
  expect(name.replace(/_(bucket|sum|count)$/, ''), line).toBe(latest?.replace(/_(bucket|sum|count)$/, ''));
  families
    .get(latest!)!
    .samples.push({ name, labels: labelsOf(labels), value: Number(value.replace('Inf', 'Infinity')) });
}

function labelsOf(text: string): Record<string, string> {
  if (text === '') return {};
  const [whole, name, value] = label.exec(text) ?? expect.fail(`no label: ${text}`);
  return { [name!]: value!, ...labelsOf(text.slice(whole.length)) };
}

/** The one value of a metric with these labels; undefined where there is none. */
export function sampleOf(families: Map<string, Family>, name: string, labels: Record<string, string> = {}) {
  const samples = [...families.values()].flatMap((family) => family.samples);
  const fitting = samples.filter(
    (one) => one.name === name && Object.entries(labels).every(([key, value]) => one.labels[key] === value),
  );
  expect(fitting.length, name).toBeLessThanOrEqual(1);
  return fitting[0]?.value;
}
