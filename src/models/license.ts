import { z } from 'zod';

/** The licence that a repository's card states. */
export interface License {
  /** As the hub calls it, e.g. `apache-2.0`; of a licence of the maker's own its name, where the card has one, else `other`. */
  readonly name: string;
  /** Where it can be read, if the card says. */
  readonly link?: string;
}

const text = z.string().min(1).nullish().catch(null);
const cardSchema = z
  .object({
    license: z
      .union([z.string(), z.array(z.string()).transform((names) => names.join(', '))])
      .nullish()
      .catch(null),
    license_name: text,
    license_link: text,
  })
  .partial()
  .catch({});

/** Null where neither the card nor a tag states one. */
export function readLicense(card: unknown, tags: readonly string[] = []): License | null {
  const { license, license_name, license_link } = cardSchema.parse(card);
  const tagged = tags.find((tag) => tag.startsWith('license:'))?.slice('license:'.length);
  const stated = license || tagged;
  if (!stated) return null;
  const name = stated === 'other' && license_name ? license_name : stated;
  return { name, ...(license_link && { link: license_link }) };
}

/** Licences that allow what software usually allows, selling what is made with it among that. */
const OPEN =
  /^(apache-2\.0|mit(-0)?|bsd\b.*|isc|zlib|unlicense|cc0-1\.0|cc-by(-sa)?-\d\.\d|[al]?gpl\b.*|mpl-2\.0|ecl-2\.0|afl-3\.0|cdla-permissive-.*)$/i;
const NOT_COMMERCIAL = /\bnc\b|non-?commercial|research|^apple-amlr$/i;

/** In what a licence, or one of several, is not a usual one, as the end of a sentence; null where it is one. */
export function limitOfLicense(name: string): string | null {
  if (name.split(', ').every((one) => OPEN.test(one))) return null;
  if (NOT_COMMERCIAL.test(name)) return 'forbids commercial use or allows research alone';
  if (name === 'other') return "is one of its maker's own, and may forbid commercial use";
  return 'has conditions of its own, and may limit commercial use';
}

/** What whoever uses the model must know of its licence, in a sentence; null where there is nothing unusual, or nothing stated. */
export function warnOfLicense(license: License | null): string | null {
  const limit = license && limitOfLicense(license.name);
  if (!limit) return null;
  const { name, link } = license;
  const where = link ? ` (${link})` : '';
  return `the licence ${name === 'other' ? '' : `${name} `}${limit}: read it before you use the model${where}`;
}
