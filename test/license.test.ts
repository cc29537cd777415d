import { describe, expect, it } from 'vitest';
import { readLicense, warnOfLicense } from '../src/models/license.js';

describe('the licence of a repository', () => {
  it('is what its card says, by its own name where it is one of the maker, else what a tag says', () => {
    expect(readLicense({ license: 'apache-2.0' }, ['license:mit'])).toEqual({ name: 'apache-2.0' });
    expect(readLicense({}, ['onnx', 'license:mit'])).toEqual({ name: 'mit' });
    expect(readLicense({ license: ['mit', 'apache-2.0'] })).toEqual({ name: 'mit, apache-2.0' });
    const own = { license: 'other', license_name: 'qwen-research', license_link: 'https://maker/LICENSE' };
    expect(readLicense(own)).toEqual({ name: 'qwen-research', link: 'https://maker/LICENSE' });
    expect(readLicense({ license: 'other' })).toEqual({ name: 'other' });
  });

  it('may be stated nowhere, or in a way that nobody understands', () => {
    for (const card of [undefined, null, {}, { license: null }, { license: '' }, { license: 7 }, 'x'])
      expect(readLicense(card)).toBeNull();
  });

  it('is warned of where it is not one of those that allow what is usual', () => {
    const warn = (name: string) => warnOfLicense({ name });
    for (const open of [
      'apache-2.0',
      'mit',
      'bsd-3-clause',
      'cc-by-4.0',
      'cc-by-sa-4.0',
      'gpl-3.0',
      'mit, apache-2.0',
    ])
      expect(warn(open), open).toBeNull();
    for (const closed of [
      ...['cc-by-nc-4.0', 'cc-by-nc-sa-4.0', 'apple-amlr', 'qwen-research', 'tongyi-qianwen-research'],
      ...['some-non-commercial-license', 'mit, cc-by-nc-4.0'],
    ])
      expect(warn(closed), closed).toMatch(/forbids commercial use or allows research alone: read it before/);
    for (const own of ['gemma', 'llama3.2', 'lfm1.0'])
      expect(warn(own), own).toBe(
        `the licence ${own} has conditions of its own, and may limit commercial use: read it before you use the model`,
      );
    expect(warnOfLicense({ name: 'other', link: 'LICENSE' })).toBe(
      "the licence is one of its maker's own, and may forbid commercial use: read it before you use the model (LICENSE)",
    );
    expect(warnOfLicense(null)).toBeNull();
  });
});
