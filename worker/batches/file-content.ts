/** A file's content as an HTTP response, streamed part by part. Callers check that the account owns the file. */
import type { FileRow } from '../db/files.ts';
import { streamParts } from './file-parts.ts';

export function fileContent(
  bucket: R2Bucket,
  { id, parts, bytes }: FileRow,
  context: Pick<ExecutionContext, 'waitUntil'>,
): Response {
  const { readable, writable } = new FixedLengthStream(bytes);
  // A client that disconnects ends the pipe with an error, and there is nothing to clean up.
  context.waitUntil(
    streamParts(bucket, id, parts)
      .pipeTo(writable)
      .catch(() => undefined),
  );
  return new Response(readable, {
    headers: {
      'content-type': 'application/jsonl; charset=utf-8',
      // its id, because its name was chosen by whoever uploaded it
      'content-disposition': `attachment; filename="${id}.jsonl"`,
    },
  });
}
