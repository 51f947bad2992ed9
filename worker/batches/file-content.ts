/** A file as the answer to whoever may have it, part after part. */
import type { FileRow } from '../db/files.ts';
import { streamParts } from './file-parts.ts';

export function fileContent(
  bucket: R2Bucket,
  { id, parts, bytes }: FileRow,
  context: Pick<ExecutionContext, 'waitUntil'>,
): Response {
  const { readable, writable } = new FixedLengthStream(bytes);
  // a client that leaves ends the pipe, and there is nothing to clean up
  context.waitUntil(
    streamParts(bucket, id, parts)
      .pipeTo(writable)
      .catch(() => undefined),
  );
  return new Response(readable, { headers: { 'content-type': 'application/jsonl; charset=utf-8' } });
}
