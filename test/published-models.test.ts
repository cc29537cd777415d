import { describe, expect, it } from 'vitest';
import { families } from '../src/models/families/index.js';
import { parseDtypes } from '../src/models/layout.js';
import { warnOfLicense } from '../src/models/license.js';
import { type Place, publishedModels } from '../src/models/published.js';
import { cli, documentOf } from './support/cli.js';

/** What a family's order means for where VisionZip works. */
const places: Record<(typeof families)[number]['order'], readonly Place[]> = {
  'compress-project': ['before the projector'],
  'project-pool-compress': ['behind the pooler'],
  'project-compress': ['behind the connector', 'behind the merger'],
};

describe('the models that can be pulled', () => {
  it.each(publishedModels.map((model) => [model.id, model] as const))(
    'are of a known family: %s',
    (_, model) => {
      const family = families.find(({ name }) => name === model.family);
      expect(family?.name).toBe(model.family);
      expect(places[family!.order]).toContain(model.visionZip);
    },
  );

  it('have figures that hold together', () => {
    for (const { id, parameters, downloads } of publishedModels) {
      expect(id).toMatch(/^[\w.-]+\/[\w.-]+$/);
      for (const [dtype, bytes] of Object.entries(downloads)) {
        expect(() => parseDtypes(dtype)).not.toThrow();
        // Of a weight between half a byte, and four and the embedding twice, which the decoder's last layer may repeat.
        expect(bytes / parameters, `${id} ${dtype}`).toBeGreaterThan(0.5);
        expect(bytes / parameters, `${id} ${dtype}`).toBeLessThan(5);
      }
    }
    const ids = publishedModels.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('are listed with size, licence and what VisionZip does', async () => {
    const { stdout } = await cli(['model', 'list', '--published']);
    expect(stdout).toMatch(
      /llava-hf\/llava-onevision-qwen2-0\.5b-ov-hf\n {2}0\.89 B parameters, llava_onevision, SigLIP SO400M\/14, 384 px\n {2}VisionZip behind the pooler\n {2}about 854 MB \(vision=q4,embed=fp16,decoder=q4\), 1\.05 GB \(int8\)/,
    );
    const amlr = publishedModels.find(({ license }) => license === 'apple-amlr')!;
    expect(stdout).toContain(`  licence apple-amlr: forbids commercial use or allows research alone\n`);
    expect(warnOfLicense({ name: amlr.license })).not.toBeNull();
    expect(stdout).toContain('  size unknown: `model pull --dry-run` says\n');
    const listed = documentOf(await cli(['model', 'list', '--published', '--json']));
    expect(listed).toEqual({ published: JSON.parse(JSON.stringify(publishedModels)) });
  });
});
