/** The archive's objects in R2: gzipped text, under a key that names account, kind, month and the text's hash. */

import type { ArchiveKind } from '../domain/archive-kinds.ts';
import type { Env } from '../env.ts';
import { LoggableError } from '../lib/describe-error.ts';

/** The hash makes writing repeatable: the same rows are the same object, and other rows are another. */
export function objectKey(part: {
  accountId: string;
  kind: ArchiveKind;
  month: string;
  hash: string;
}): string {
  return `${part.accountId}/${part.kind}/${part.month}/${part.hash}.jsonl.gz`;
}

export function accountOfKey(key: string): string {
  return key.slice(0, key.indexOf('/'));
}

/** Writes a text and reads it back. @returns its size in R2 @throws Error when R2 has something else afterwards */
export async function writeObject(env: Env, key: string, text: string): Promise<number> {
  const gzipped = await new Response(
    new Blob([text]).stream().pipeThrough(new CompressionStream('gzip')),
  ).arrayBuffer();
  await env.ARCHIVE.put(key, gzipped, {
    httpMetadata: { contentType: 'application/gzip' },
    // R2 refuses bytes with another hash.
    sha256: await crypto.subtle.digest('SHA-256', gzipped),
  });
  if ((await readObject(env, key)) !== text)
    throw new LoggableError('the archive did not return what was written');
  return gzipped.byteLength;
}

/** @returns null: there is no such object @throws Error when it is not gzipped text */
export async function readObject(env: Env, key: string): Promise<string | null> {
  const object = await env.ARCHIVE.get(key);
  if (object === null) return null;
  return new Response(object.body.pipeThrough(new DecompressionStream('gzip'))).text();
}
