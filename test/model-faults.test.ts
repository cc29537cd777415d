import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { InputError } from '../src/errors.js';
import { loadModel } from '../src/models/load.js';
import type { PreparedFrame } from '../src/models/types.js';

/* Every file of a model, broken in every way, on the shipped model: a fault of the model that names the file. */

const nano = fileURLToPath(new URL('../models/nano', import.meta.url));
const files = readdirSync(nano, { recursive: true, encoding: 'utf8' }).filter((name) =>
  statSync(join(nano, name)).isFile(),
);

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'visionzip-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** A copy of the model, broken at one file; `edit` gets its JSON. */
function breakModel(name: string, edit: (file: string) => void): string {
  const copy = mkdtempSync(join(folder, 'nano-'));
  cpSync(nano, copy, { recursive: true });
  edit(join(copy, name));
  return copy;
}

function editJson<T>(change: (json: T) => void): (file: string) => void {
  return (file) => {
    const json = JSON.parse(readFileSync(file, 'utf8'));
    change(json);
    writeFileSync(file, JSON.stringify(json));
  };
}

const video = { ptsSeconds: [0], durationSeconds: 1 };

/** Loads the model and does with it once what a job does. */
async function use(dir: string): Promise<void> {
  const model = await loadModel(dir);
  try {
    model.chat.layOut(video, 'What moves?');
    const pixelValues = new Float32Array(3 * 96 * 96);
    const frame: PreparedFrame = { index: 0, ptsSeconds: 0, pixelValues };
    const { hidden, N } = (await model.vision.encode([frame]))[0]!;
    const tokens = await model.vision.project(hidden, N, true);
    await model.language.embed([1]);
    await model.language.forward({ embeds: tokens, S: N }, null);
  } finally {
    await model.release();
  }
}

async function faultOf(dir: string): Promise<InputError> {
  const error = await use(dir).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(InputError);
  return error as InputError;
}

/** What the model does without. */
const optional = ['README.md', 'chat_template.jinja', 'generation_config.json'];

describe.each(files.filter((name) => name !== 'README.md'))('a model whose %s', (name) => {
  const damages: [string, (file: string) => void][] = [
    ['is missing', (file) => rmSync(file)],
    [
      'is cut in half',
      (file) => writeFileSync(file, readFileSync(file).subarray(0, statSync(file).size / 2)),
    ],
    [
      'is garbled',
      (file) =>
        writeFileSync(
          file,
          readFileSync(file).map((byte, i) => (i % 97 === 0 ? byte ^ 0x5a : byte)),
        ),
    ],
  ];
  it.each(damages.filter(([how]) => how !== 'is missing' || !optional.includes(name)))(
    '%s is at fault',
    async (_, damage) => {
      const { fault, message } = await faultOf(breakModel(name, damage));
      expect(fault).toBe('model');
      expect(message).toContain(basename(name));
    },
  );
});

describe('a model that is whole but does not fit together', () => {
  const replaced = (text: string) => (file: string) => writeFileSync(file, text);
  it.each<[string, string, (file: string) => void, string?]>([
    ['a template that refuses', 'chat_template.jinja', replaced("{{ raise_exception('no video') }}")],
    ['a template that calls nothing', 'chat_template.jinja', replaced('{{ nothing(1) }}')],
    [
      'deviations of 0',
      'preprocessor_config.json',
      editJson<object>((json) => Object.assign(json, { image_std: [0, 0, 0] })),
    ],
    [
      'a grid that the tower does not have',
      'visionzip.json',
      editJson<{ tower: object }>(({ tower }) => Object.assign(tower, { grid: { rows: 13, columns: 13 } })),
      'vision_tower.onnx',
    ],
    [
      'the projector in the place of the decoder',
      'visionzip.json',
      editJson<{ files: Record<string, string> }>(({ files }) => {
        files.decoder = files.projector!;
      }),
      'projector.onnx',
    ],
  ])('has %s', async (_, name, edit, named = name) => {
    const { fault, message } = await faultOf(breakModel(name, edit));
    expect(fault).toBe('model');
    expect(message).toContain(named);
  });

  it('has a tokenizer without words', async () => {
    const copy = breakModel(
      'tokenizer.json',
      editJson<{ model: object }>((json) => Object.assign(json.model, { vocab: {}, merges: [] })),
    );
    const model = await loadModel(copy);
    expect(() => model.chat.layOut(video, 'What moves?')).toThrow(
      expect.objectContaining({ fault: 'model', message: expect.stringContaining('tokenizer') }),
    );
    await model.release();
  });

  it('has no embedding for a token, or gets one of another width', async () => {
    const model = await loadModel(nano);
    try {
      await expect(model.language.embed([99_999])).rejects.toMatchObject({ fault: 'model' });
      const wide = new Float32Array(3 * (model.language.H + 8));
      await expect(model.language.forward({ embeds: wide, S: 3 }, null)).rejects.toMatchObject({
        fault: 'model',
      });
    } finally {
      await model.release();
    }
  });
});
