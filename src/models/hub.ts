import { downloadFile, HubApiError, listFiles, modelInfo } from '@huggingface/hub';
import { InputError } from '../errors.js';
import { type License, readLicense } from './license.js';

/** The one file that knows the hub's client. */

/** Where a repository lies, and who asks. */
export interface HubAccess {
  /** e.g. https://huggingface.co */
  readonly endpoint: string;
  readonly token: string | null;
  /** owner/name */
  readonly id: string;
}

/** A file of a repository at one commit. */
export interface HubFile {
  readonly path: string;
  readonly bytes: number;
  /** Of a large file its sha256; of a small one git's own: sha1 over `blob SIZE\0` and the bytes. Hex. */
  readonly digest: { readonly kind: 'sha256' | 'git'; readonly hex: string };
}

/** A repository at one commit. */
export interface Repository {
  readonly commit: string;
  /** Null where it states none. */
  readonly license: License | null;
  readonly files: readonly HubFile[];
}

/** Every file of a repository, and the commit that a revision stands for. Throws an InputError for an unknown one. */
export async function listRepository(
  access: HubAccess,
  revision: string,
  signal?: AbortSignal,
): Promise<Repository> {
  return explained(access, revision, async () => {
    const params = paramsOf(access, signal);
    const { sha: commit, ...info } = await modelInfo<'sha' | 'cardData' | 'tags'>({
      ...params,
      name: access.id,
      revision,
      additionalFields: ['sha', 'cardData', 'tags'],
    });
    const files: HubFile[] = [];
    for await (const { type, path, size, oid, lfs } of listFiles({
      ...params,
      repo: access.id,
      revision: commit,
      recursive: true,
    })) {
      if (type !== 'file') continue;
      const digest = lfs
        ? { kind: 'sha256' as const, hex: lfs.oid }
        : { kind: 'git' as const, hex: oid ?? '' };
      files.push({ path, bytes: size, digest });
    }
    return { commit, license: readLicense(info.cardData, info.tags), files };
  });
}

/** The bytes of a file from `start` on, up to `end`. */
export async function openHubFile(
  access: HubAccess,
  commit: string,
  { path, bytes }: HubFile,
  start: number,
  signal?: AbortSignal,
  end = bytes,
): Promise<AsyncIterable<Uint8Array>> {
  return explained(access, commit, async () => {
    const blob = await downloadFile({
      ...paramsOf(access, signal),
      repo: access.id,
      revision: commit,
      path,
      xet: false,
    });
    if (!blob) throw new InputError(`${access.id} has no file ${path}`);
    if (blob.size !== bytes)
      throw new Error(`${path} has ${blob.size} bytes, the list of files says ${bytes}`);
    return withErrors(blob.slice(start, end).stream());
  });
}

function paramsOf({ endpoint, token }: HubAccess, signal?: AbortSignal) {
  const request: typeof fetch = (input, init) => {
    const headers = new Headers(init?.headers);
    // The client may go on with the address of a redirect: the token is for the hub alone.
    if (new URL(String(input)).origin !== new URL(endpoint).origin) headers.delete('authorization');
    return fetch(input, { ...init, headers, ...(signal && { signal }) });
  };
  return { hubUrl: endpoint, fetch: request, ...(token && { accessToken: token }) };
}

async function explained<T>(
  { endpoint, id }: HubAccess,
  revision: string,
  ask: () => Promise<T>,
): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (!(error instanceof HubApiError)) throw unreachable(endpoint, error);
    const { statusCode } = error;
    if (statusCode === 401 || statusCode === 403) {
      throw new InputError(
        `${endpoint} does not show ${id} to this user (${statusCode}): it is private, gated or not there; ` +
          'set HF_TOKEN to a token that may read it',
        { cause: error },
      );
    }
    if (statusCode === 404)
      throw new InputError(`${endpoint} has no model ${id} at revision ${revision}`, { cause: error });
    throw error;
  }
}

/** `fetch failed` says neither whom it asked nor why it failed. */
function unreachable(endpoint: string, error: unknown): unknown {
  if (!(error instanceof TypeError) || error.message !== 'fetch failed') return error;
  const cause = error.cause instanceof Error ? error.cause : error;
  const reason = (cause as NodeJS.ErrnoException).code ?? cause.message;
  return new Error(`${endpoint} cannot be reached: ${reason}`, { cause: error });
}

/** The client's stream breaks off with a string, and with the address, which may be a signed one. */
async function* withErrors(content: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* content as unknown as AsyncIterable<Uint8Array>;
  } catch (error) {
    if (error instanceof Error) throw error;
    throw new Error(String(error).replace(/ ?URL: \S+/, ''));
  }
}
